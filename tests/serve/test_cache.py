from pe_ray.record import Message
from pe_ray.serve.cache import CachedReply, ResponseCache, key


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_least_recently_used_reply_leaves_first():
    cache = ResponseCache(2, 60)
    a, b, c = (CachedReply(t, 1) for t in "abc")
    cache.put("a", a)
    cache.put("b", b)
    assert cache.get("a") is a
    cache.put("c", c)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (a, None, c)


def test_a_reply_is_forgotten_after_its_time():
    clock = Clock()
    cache = ResponseCache(2, 60, clock)
    cache.put("a", CachedReply("a", 1))
    clock.now = 60
    assert cache.get("a") is not None
    clock.now = 60.1
    assert cache.get("a") is None
    assert len(cache) == 0


def test_a_cache_of_no_entries_keeps_nothing_and_clearing_counts():
    off, on = ResponseCache(0, 60), ResponseCache(5, 60)
    for cache in (off, on):
        cache.put("a", CachedReply("a", 1))
        cache.put("b", CachedReply("b", 1))
    assert (off.clear(), on.clear(), len(on)) == (0, 2, 0)


def test_the_key_covers_all_that_a_reply_follows_from():
    usual = {
        "model": "m@1",
        "versions": ("p", "t", "o"),
        "max_new_tokens": 9,
        "messages": [Message("user", "hi")],
        "client": None,
    }
    changes = (
        {},
        {"model": "m@2"},
        {"versions": ("p", "t", "o2")},
        {"max_new_tokens": 8},
        {"messages": [Message("user", "hi "), Message("user", "")]},
        {"messages": [Message("assistant", "hi")]},
        {"messages": [Message("user", "\ud800")]},
        {"client": ""},
        {"client": "ada"},
    )
    assert len({key(**(usual | c)) for c in changes}) == len(changes)
    assert "hi" not in repr(CachedReply("hi", 1))
