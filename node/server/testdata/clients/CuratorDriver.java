import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;

/** Drives an ensemble with Curator and its recipes: CuratorDriver HOST:PORT,... Ends with 0 if all is as it should be. */
public class CuratorDriver {
    private static final long PATIENCE_SECONDS = 30;

    public static void main(String[] args) throws Exception {
        try (CuratorFramework a = connect(args[0]); CuratorFramework b = connect(args[0])) {
            basics(a);
            System.out.println("ok basics");
            caches(a, b);
            System.out.println("ok caches");
            locks(a, b);
            System.out.println("ok locks");
            leaders(a, b);
            System.out.println("ok leaders");
            counters(a, b);
            System.out.println("ok counters");
            barriers(a, b);
            System.out.println("ok barriers");
            persistentNodes(a, b);
            System.out.println("ok persistent nodes");
            a.delete().guaranteed().deletingChildrenIfNeeded().forPath("/curator");
        }
    }

    private static CuratorFramework connect(String servers) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.newClient(servers, 20_000, 15_000, new ExponentialBackoffRetry(100, 5));
        client.start();
        require(client.blockUntilConnected((int) PATIENCE_SECONDS, TimeUnit.SECONDS), "no connection");
        return client;
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static void basics(CuratorFramework a) throws Exception {
        a.create().creatingParentContainersIfNeeded().forPath("/curator/data", "one".getBytes());
        require(a.checkExists().forPath("/curator").getEphemeralOwner() == 0, "a container shows no owner");
        a.setData().withVersion(0).forPath("/curator/data", "two".getBytes());
        try {
            a.setData().withVersion(0).forPath("/curator/data", "three".getBytes());
            throw new AssertionError("an old version was taken");
        } catch (KeeperException.BadVersionException expected) {
            // as it should be
        }
        String name = a.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/curator/seq-");
        require(name.endsWith("0000000001"), name);
        a.create().withTtl(600_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/curator/ttl");
        List<CuratorTransactionResult> results = a.transaction().forOperations(
            a.transactionOp().create().forPath("/curator/multi"),
            a.transactionOp().check().withVersion(1).forPath("/curator/data"),
            a.transactionOp().setData().withVersion(1).forPath("/curator/data", "four".getBytes()),
            a.transactionOp().delete().forPath("/curator/multi"));
        require(results.size() == 4 && results.get(2).getResultStat().getVersion() == 2, results.toString());
        try {
            a.transaction().forOperations(a.transactionOp().create().forPath("/curator/never"), a.transactionOp().check().withVersion(9).forPath("/curator/data"));
            throw new AssertionError("a failing multi succeeded");
        } catch (KeeperException.BadVersionException expected) {
            require(a.checkExists().forPath("/curator/never") == null, "half a multi took effect");
        }
    }

    /** CuratorCache uses persistent recursive watches. */
    private static void caches(CuratorFramework a, CuratorFramework b) throws Exception {
        a.create().forPath("/curator/cached");
        b.sync().forPath("/curator/cached");
        CountDownLatch created = new CountDownLatch(10);
        CountDownLatch deleted = new CountDownLatch(10);
        try (CuratorCache cache = CuratorCache.build(b, "/curator/cached")) {
            cache.listenable().addListener((type, before, after) -> {
                switch (type) {
                    case NODE_CREATED: if (after.getPath().contains("child")) created.countDown(); break;
                    case NODE_DELETED: deleted.countDown(); break;
                    default:
                }
            });
            cache.start();
            for (int i = 0; i < 10; i++) {
                a.create().creatingParentsIfNeeded().forPath("/curator/cached/child-" + i, new byte[] {(byte) i});
            }
            require(created.await(PATIENCE_SECONDS, TimeUnit.SECONDS), "the cache missed a create");
            for (int i = 0; i < 10; i++) {
                a.delete().forPath("/curator/cached/child-" + i);
            }
            require(deleted.await(PATIENCE_SECONDS, TimeUnit.SECONDS), "the cache missed a delete");
        }
    }

    private static void locks(CuratorFramework a, CuratorFramework b) throws Exception {
        List<String> order = Collections.synchronizedList(new ArrayList<>());
        InterProcessMutex first = new InterProcessMutex(a, "/curator/lock");
        require(first.acquire(PATIENCE_SECONDS, TimeUnit.SECONDS), "a free lock was not got");
        ExecutorService other = Executors.newSingleThreadExecutor();
        try {
            Future<?> waiting = other.submit(() -> {
                InterProcessMutex second = new InterProcessMutex(b, "/curator/lock");
                require(second.acquire(PATIENCE_SECONDS, TimeUnit.SECONDS), "the lock did not come free");
                order.add("b");
                second.release();
                return null;
            });
            while (first.getParticipantNodes().size() < 2) {
                a.sync().forPath("/curator/lock");
            }
            order.add("a");
            first.release();
            waiting.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } finally {
            other.shutdown();
        }
        require(order.equals(List.of("a", "b")), order.toString());
        InterProcessReadWriteLock both = new InterProcessReadWriteLock(a, "/curator/rw");
        both.readLock().acquire();
        require(!new InterProcessReadWriteLock(b, "/curator/rw").writeLock().acquire(100, TimeUnit.MILLISECONDS), "written while read");
        both.readLock().release();
    }

    private static void leaders(CuratorFramework a, CuratorFramework b) throws Exception {
        try (LeaderLatch first = new LeaderLatch(a, "/curator/latch", "a")) {
            first.start();
            require(first.await(PATIENCE_SECONDS, TimeUnit.SECONDS), "nobody leads");
            try (LeaderLatch second = new LeaderLatch(b, "/curator/latch", "b")) {
                second.start();
                first.close(LeaderLatch.CloseMode.SILENT);
                require(second.await(PATIENCE_SECONDS, TimeUnit.SECONDS), "nobody follows the leader");
                return;
            }
        } catch (IllegalStateException closedAlready) {
            // the latch was closed by hand
        }
    }

    private static void counters(CuratorFramework a, CuratorFramework b) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(2);
        try {
            List<Future<?>> adding = new ArrayList<>();
            for (CuratorFramework client : List.of(a, b)) {
                adding.add(threads.submit(() -> {
                    DistributedAtomicLong counter = new DistributedAtomicLong(client, "/curator/counter", new RetryNTimes(1000, 1));
                    for (int i = 0; i < 20; i++) {
                        require(counter.increment().succeeded(), "an increment failed");
                    }
                    return null;
                }));
            }
            for (Future<?> one : adding) {
                one.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
            }
        } finally {
            threads.shutdown();
        }
        a.sync().forPath("/curator/counter");
        long value = new DistributedAtomicLong(a, "/curator/counter", new RetryNTimes(10, 10)).get().postValue();
        require(value == 40, "the counter is " + value);
    }

    private static void barriers(CuratorFramework a, CuratorFramework b) throws Exception {
        ExecutorService other = Executors.newSingleThreadExecutor();
        try {
            Future<Boolean> entering = other.submit(() -> new DistributedDoubleBarrier(b, "/curator/barrier", 2).enter(PATIENCE_SECONDS, TimeUnit.SECONDS));
            require(new DistributedDoubleBarrier(a, "/curator/barrier", 2).enter(PATIENCE_SECONDS, TimeUnit.SECONDS), "a waits in vain");
            require(entering.get(), "b waits in vain");
        } finally {
            other.shutdown();
        }
    }

    private static void persistentNodes(CuratorFramework a, CuratorFramework b) throws Exception {
        try (PersistentNode node = new PersistentNode(a, CreateMode.EPHEMERAL, false, "/curator/persistent", "p".getBytes())) {
            node.start();
            require(node.waitForInitialCreate(PATIENCE_SECONDS, TimeUnit.SECONDS), "it was not created");
            CountDownLatch back = new CountDownLatch(1);
            node.getListenable().addListener(path -> back.countDown());
            b.sync().forPath("/curator/persistent");
            b.delete().forPath("/curator/persistent");
            require(back.await(PATIENCE_SECONDS, TimeUnit.SECONDS), "it was not created again");
        }
    }
}
