"""Which tokens are known: the store's keys, its admin key, and those of the environment."""

from ocpd.admin.tokens import KnownTokens
from ocpd.store.records import digest_of
from tests.unit.store.stage import open_store, run


def test_admin_keys_of_store_and_environment_both_count(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            known = KnownTokens(store.keys, ("first", "second"))
            await store.keys.set_admin_key(digest_of("third"))
            assert all(known.is_admin(token) for token in ("first", "second", "third"))
            assert not any(known.is_admin(token) for token in ("", "firs", "fourth"))
            assert "first" not in repr(known)

    run(main())


def test_a_key_is_found_until_it_is_revoked_and_is_no_admin(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            known = KnownTokens(store.keys)
            record, secret = await store.keys.add("laptop")
            assert known.find(secret) == record
            assert not known.is_admin(secret)
            await store.keys.revoke(record.id)
            assert known.find(secret) is None

    run(main())
