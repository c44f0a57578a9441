"""The knobs about who may come in: a part of the table.

What may live here: rows. What they mean together is ``doors``' business.
"""

from ocpd.settings.knob import Knob, Type

ENTRANCE: tuple[Knob, ...] = (
    Knob(
        key="authMode",
        type=Type.CHOICE,
        default="auto",
        choices=("auto", "none", "shared", "multi"),
        aliases=("CLAUDE_AUTH_MODE",),
        help="Who may chat: everybody, holders of a shared key, or of a key of their own;"
        " auto is shared if there are sharedKeys, else none.",
    ),
    Knob(
        key="requireAuth",
        type=Type.CHOICE,
        default="auto",
        choices=("auto", "on", "off"),
        aliases=("REQUIRE_AUTH",),
        help="on: never start with authMode none; off: authMode auto is none.",
    ),
    Knob(
        key="sharedKeys",
        type=Type.STRING,
        default="",
        aliases=("PROXY_API_KEYS", "PROXY_API_KEY"),
        secret=True,
        help="Keys of authMode shared, with commas between them; each is counted by itself.",
    ),
    Knob(
        key="anonymousKey",
        type=Type.STRING,
        default="",
        aliases=("PROXY_ANONYMOUS_KEY",),
        secret=True,
        help="A key of authMode multi for whoever has none of his own.",
    ),
    Knob(
        key="advertiseAnonymousKey",
        type=Type.BOOLEAN,
        default=False,
        aliases=("PROXY_ADVERTISE_ANON_KEY",),
        help="Tell the anonymous key to everybody who asks /health.",
    ),
    Knob(
        key="loopbackChat",
        type=Type.BOOLEAN,
        default=True,
        help="In authMode multi, callers on this machine may chat without a key.",
    ),
    Knob(
        key="tlsCertificate",
        type=Type.PATH,
        default="",
        help="A file with the certificate (PEM, its chain behind it); with tlsKey, TCP is HTTPS.",
    ),
    Knob(
        key="tlsKey",
        type=Type.PATH,
        default="",
        help="A file with the key of tlsCertificate (PEM); only its owner may read it.",
    ),
    Knob(
        key="revokeRunning",
        type=Type.BOOLEAN,
        default=True,
        help="A key that is revoked, rotated, taken away or runs out ends its running answers.",
    ),
    Knob(
        key="allowedHosts",
        type=Type.STRING,
        default="",
        help="More names this machine is asked by, with commas; counts for requests without a key.",
    ),
    Knob(
        key="corsOrigins",
        type=Type.STRING,
        default="",
        help="Web pages that may use the API, as scheme://host:port, with commas.",
    ),
    Knob(
        key="allowedAddresses",
        type=Type.STRING,
        default="",
        help="Networks that may connect, as 192.168.1.0/24, with commas; this machine always may.",
    ),
    Knob(
        key="trustedProxies",
        type=Type.STRING,
        default="",
        help="Networks of proxies whose X-Forwarded-For tells who asks, with commas.",
    ),
    Knob(
        key="loopbackAdmin",
        type=Type.CHOICE,
        default="read",
        choices=("off", "read", "full"),
        help="What a caller on this machine may do on the admin routes without a key.",
    ),
)
