"""The law of conversations: whatever a client sends after whatever, the upstream hears what a fresh
process would send. Reminders, cache marks and thinking are left out: the CLI puts those elsewhere
on a rebuild.
"""

import random
from typing import Any

import pytest

from tests.wire.stage import Stage, conversation

pytestmark = pytest.mark.real_cli

Chat = list[dict[str, Any]]
STEPS = 25


class Client:
    """Keeps several conversations and does with them what people do."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.chats: list[Chat] = []
        self.asked = 0

    def next_request(self) -> tuple[str, Chat]:
        """The next thing it wants, and the name of that."""
        acts = ["begin"] if not self.chats else ["begin", "go on", "go on", "again", "edit", "fork"]
        act = self.dice.choice(acts)
        self.asked += 1
        fresh = {"role": "user", "content": f"message {self.asked} @file /clear \\n\u2028 end"}
        if act == "begin":
            system = self.dice.choice(([], [{"role": "system", "content": "Be brief."}]))
            chat = [*system, fresh]
            self.chats.append(chat)
            return act, chat
        chat = self.dice.choice(self.chats)
        match act:
            case "again":
                chat.pop()
            case "edit":
                del chat[-2:]
                chat.append(fresh)
            case "fork":
                users = [at for at, message in enumerate(chat) if message["role"] == "user"]
                at = self.dice.choice(users)
                branch = [*chat[:at], fresh]
                self.chats.append(branch)
                return act, branch
            case _:
                chat.append(fresh)
        return act, chat


@pytest.mark.parametrize("seed", range(3))
def test_the_upstream_hears_what_a_fresh_process_would_send(stage: Stage, seed: int) -> None:
    client = Client(seed)
    done = []
    for _ in range(STEPS):
        act, chat = client.next_request()
        done.append(act)
        answer = stage.ask(chat).choices[0].message.content
        expected = [(m["role"], [m["content"]]) for m in chat if m["role"] != "system"]
        assert conversation(stage.upstream.requests[-1]) == expected, done
        chat.append({"role": "assistant", "content": answer})
    sources = stage.daemon.wait_quiet().processes.sources
    assert {"continued", "rewound"} <= set(sources)
