"""All values in one frozen struct.

What may live here: the struct. It is replaced as a whole when a setting changes.
"""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All knobs with their values; the defaults here are KNOBS' (a test compares them).

    Tests may build one directly with values outside the ranges.
    """

    bind: str = "127.0.0.1"
    port: int = 3456
    claude_bin: str = ""
    default_model: str = "sonnet"
    default_effort: str = "model"
    thinking: str = "auto"
    unknown_model: str = "refuse"
    max_concurrent: int = 8
    max_queue: int = 16
    queue_retry_after_s: int = 5
    queue_timeout_ms: int = 0
    heartbeat_ms: int = 15_000
    timeout_ms: int = 600_000
    first_byte_timeout_ms: int = 90_000
    idle_event_timeout_ms: int = 300_000
    max_body_bytes: int = 33_554_432
    header_timeout_ms: int = 15_000
    body_timeout_ms: int = 60_000
    idle_timeout_ms: int = 75_000
    drain_timeout_ms: int = 600_000
    spares: int = 1
    max_spares: int = 4
    spare_memory_mb: int = 1024
    spare_idle_ms: int = 3_600_000
    max_processes: int = 12
    process_memory_mb: int = 0
    recycle_turns: int = 200
    recycle_memory_mb: int = 400
    cli_max_retries: int = 2
    structured_max_attempts: int = 3
    auth_check_interval_ms: int = 600_000
    auth_check_timeout_ms: int = 10_000
    session_ttl_ms: int = 3_600_000
    max_prompt_chars: int = 0
    truncate: bool = True
    system_prompt: str = ""
    cache_ttl_ms: int = 0
    max_image_bytes: int = 5_242_880
    max_images: int = 20
    max_image_total_bytes: int = 20_971_520
    image_allow_url: bool = False
    tiers_opus_base_ms: int = 150_000
    tiers_opus_per_char: float = 0.0005
    tiers_sonnet_base_ms: int = 120_000
    tiers_sonnet_per_char: float = 0.0005
    tiers_haiku_base_ms: int = 45_000
    tiers_haiku_per_char: float = 0.0001
    mcp_config: str = ""
    mcp_registry: str = ""
    allowed_tools: str = ""
    skip_permissions: bool = False
    auth_mode: str = "auto"
    require_auth: str = "auto"
    shared_keys: str = ""
    anonymous_key: str = ""
    advertise_anonymous_key: bool = False
    anonymous_quota: int = -1
    anonymous_quota_per: str = "all"
    plan_guard: str = "warn"
    plan_only: bool = True
    plan_stop_at_owner: int = 100
    plan_stop_at_user: int = 90
    plan_stop_at_batch: int = 60
    loopback_chat: bool = True
    tls_certificate: str = ""
    tls_key: str = ""
    revoke_running: bool = True
    allowed_hosts: str = ""
    cors_origins: str = ""
    allowed_addresses: str = ""
    trusted_proxies: str = ""
    loopback_admin: str = "read"
    usage_keep_days: int = 400
    models_file: str = ""
    log_level: str = "info"
    log_format: str = "auto"
