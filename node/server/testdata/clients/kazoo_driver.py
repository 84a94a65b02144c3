"""Drives an ensemble with kazoo and its recipes: kazoo_driver.py HOST:PORT,... Ends with 0 if all is as it should be."""
import sys
import threading

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, NoAuthError, NodeExistsError, NoNodeError, RolledBackError
from kazoo.recipe.counter import Counter
from kazoo.security import make_digest_acl

HOSTS = sys.argv[1]
PATIENCE = 30  # seconds, for each wait


def connect(**options):
    client = KazooClient(hosts=HOSTS, timeout=20, **options)
    client.start(timeout=PATIENCE)
    return client


def expect(exception, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except exception:
        return
    raise AssertionError(f"{call.__name__}{args}: expected {exception.__name__}")


def basics(a, b):
    a.create("/kazoo/data", b"one", makepath=True)
    value, stat = a.get("/kazoo/data")
    assert (value, stat.version) == (b"one", 0), (value, stat)
    expect(NodeExistsError, a.create, "/kazoo/data")
    expect(NoNodeError, a.get, "/kazoo/nothing")
    expect(BadVersionError, a.set, "/kazoo/data", b"x", version=7)
    assert a.create("/kazoo/seq-", sequence=True, ephemeral=True) == "/kazoo/seq-0000000001"
    a.sync("/kazoo")
    transaction = a.transaction()
    transaction.create("/kazoo/multi", b"m")
    transaction.check("/kazoo/data", version=0)
    transaction.set_data("/kazoo/data", b"two", version=0)
    transaction.delete("/kazoo/multi")
    results = transaction.commit()
    assert results[0] == "/kazoo/multi" and results[1] is True and results[2].version == 1, results
    transaction = a.transaction()
    transaction.create("/kazoo/rolled-back")
    transaction.check("/kazoo/data", version=9)
    results = transaction.commit()
    assert isinstance(results[0], RolledBackError) and isinstance(results[1], BadVersionError), results
    assert a.exists("/kazoo/rolled-back") is None

    fired = threading.Event()
    b.sync("/kazoo")
    b.get("/kazoo/data", watch=lambda event: fired.set())
    a.set("/kazoo/data", b"three")
    assert fired.wait(PATIENCE), "the watch did not fire"


def acls(a, b):
    a.add_auth("digest", "user:secret")
    a.create("/kazoo/secret", b"s", acl=[make_digest_acl("user", "secret", all=True)])
    b.sync("/kazoo")
    expect(NoAuthError, b.get, "/kazoo/secret")
    b.add_auth("digest", "user:secret")
    assert b.get("/kazoo/secret")[0] == b"s"


def watchers(a, b):
    values, children = [], []
    changed = threading.Condition()

    @b.DataWatch("/kazoo/watched")
    def on_data(value, stat):
        with changed:
            values.append(value)
            changed.notify_all()

    a.create("/kazoo/watched", b"0")

    def seen(condition):
        with changed:
            assert changed.wait_for(condition, PATIENCE), (values, children)

    seen(lambda: values[-1:] == [b"0"])
    b.sync("/kazoo/watched")

    @b.ChildrenWatch("/kazoo/watched")
    def on_children(names):
        with changed:
            children.append(sorted(names))
            changed.notify_all()

    for i in range(5):
        a.set("/kazoo/watched", b"%d" % i)
        a.create("/kazoo/watched/%d" % i)
    seen(lambda: values[-1:] == [b"4"] and children[-1:] == [[str(i) for i in range(5)]])


def locks(a, b):
    order = []
    first = a.Lock("/kazoo/lock", "a")
    assert first.acquire(timeout=PATIENCE)
    second = b.Lock("/kazoo/lock", "b")

    def contend():
        with second:
            order.append("b has it")

    thread = threading.Thread(target=contend)
    thread.start()
    while first.contenders() != ["a", "b"]:
        a.sync("/kazoo/lock")
    order.append("a lets go")
    first.release()
    thread.join(PATIENCE)
    assert order == ["a lets go", "b has it"], order
    semaphore = a.Semaphore("/kazoo/semaphore", max_leases=2)
    with semaphore:
        assert len(semaphore.lease_holders()) == 1


def elections(a, b):
    led = []
    threads = []
    for name, client in (("a", a), ("b", b)):
        election = client.Election("/kazoo/election", name)
        threads.append(threading.Thread(target=election.run, args=(led.append, name)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(led) == ["a", "b"], led


def counters(a, b):
    def add(client):
        counter = Counter(client, "/kazoo/counter")
        for _ in range(20):
            counter += 1

    threads = [threading.Thread(target=add, args=(client,)) for client in (a, b)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    a.sync("/kazoo/counter")
    assert Counter(a, "/kazoo/counter").value == 40


def queues(a, b):
    queue = a.LockingQueue("/kazoo/queue")
    for item in (b"1", b"2", b"3"):
        queue.put(item)
    b.sync("/kazoo/queue")
    other = b.LockingQueue("/kazoo/queue")
    taken = []
    for _ in range(3):
        taken.append(other.get(PATIENCE))
        assert other.consume()
    assert taken == [b"1", b"2", b"3"], taken
    plain = a.Queue("/kazoo/plain-queue")
    plain.put(b"x")
    assert plain.get() == b"x"


def barriers_and_parties(a, b):
    barrier = a.Barrier("/kazoo/barrier")
    barrier.create()
    b.sync("/kazoo")
    waiting = threading.Thread(target=lambda: b.Barrier("/kazoo/barrier").wait(PATIENCE))
    waiting.start()
    barrier.remove()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    party = a.Party("/kazoo/party", "a")
    party.join()
    other = b.Party("/kazoo/party", "b")
    other.join()
    b.sync("/kazoo/party")
    assert sorted(other) == ["a", "b"], list(other)


def main():
    a, b = connect(), connect()
    for step in (basics, acls, watchers, locks, elections, counters, queues, barriers_and_parties):
        step(a, b)
        print("ok", step.__name__)
    assert a.state == KazooState.CONNECTED
    a.delete("/kazoo", recursive=True)
    for client in (a, b):
        client.stop()
        client.close()


main()
