// Package doctor finds out what this machine allows: which drivers, which faults, which
// implementations. It changes nothing on the machine.
//
// Each finding comes from trying, or from asking who would know; never from a version number alone.
// The package must not know what a run makes of what is allowed.
package doctor

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/container"
)

// Finding is what is known of one thing that a run may need.
type Finding struct {
	Name  string
	OK    bool
	Found string // what is there, or why it is not
	Gives string // what it is good for
	Get   string // how to get it, if it is missing
}

// diskWanted is the free space below which long runs are in danger, in bytes.
const diskWanted = 2 << 30

// portsWanted is how many free ports a run of nine members with proxies may take.
const portsWanted = 100

// Examine looks at everything, for results stored in folder out.
func Examine(ctx context.Context, out string) []Finding {
	return []Finding{
		docker(ctx), networkNamespaces(ctx), nftablesRules(), netem(), fuse(),
		java(ctx), apacheZooKeeper(), ports(), disk(out),
	}
}

func docker(ctx context.Context) Finding {
	f := Finding{Name: "Docker engine", Gives: "the container driver", Get: "apt-get install docker.io, and start it"}
	engine, err := container.Available(ctx)
	if err != nil {
		f.Found = err.Error()
		return f
	}
	f.OK, f.Found = true, fmt.Sprintf("version %s, API %s", engine.Version, engine.APIVersion)
	return f
}

// networkNamespaces tries to make one, in a child process that ends at once.
func networkNamespaces(ctx context.Context) Finding {
	f := Finding{Name: "network namespaces", Gives: "members with addresses of their own without Docker (not used yet)",
		Get: "root, or user namespaces (sysctl kernel.unprivileged_userns_clone=1)"}
	command := exec.CommandContext(ctx, "/bin/true")
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	if err := command.Run(); err != nil {
		f.Found = "cannot be made: " + err.Error()
		return f
	}
	f.OK, f.Found = true, "can be made"
	return f
}

func nftablesRules() Finding {
	f := Finding{Name: "nftables", Gives: "link faults of the container driver (inside its own containers)",
		Get: "a kernel with nf_tables; here on the host it also takes root to ask"}
	connection, err := nftables.New()
	if err == nil {
		_, err = connection.ListTables()
	}
	if err != nil {
		f.Found = "the kernel did not answer: " + err.Error()
		return f
	}
	f.OK, f.Found = true, "the kernel answers"
	return f
}

// netem looks for the kernel module, loaded, built in or loadable.
func netem() Finding {
	f := Finding{Name: "netem", Gives: "delay and jitter by the kernel (not used yet)", Get: "a kernel with sch_netem"}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		f.Found = err.Error()
		return f
	}
	release := unix.ByteSliceToString(name.Release[:])
	for _, list := range []string{"modules.dep", "modules.builtin"} {
		content, err := os.ReadFile(filepath.Join("/lib/modules", release, list))
		if err == nil && strings.Contains(string(content), "sch_netem") {
			f.OK, f.Found = true, "in "+list+" of kernel "+release
			return f
		}
	}
	if _, err := os.Stat("/sys/module/sch_netem"); err == nil {
		f.OK, f.Found = true, "loaded"
		return f
	}
	f.Found = "kernel " + release + " does not have it"
	return f
}

func fuse() Finding {
	f := Finding{Name: "FUSE", Gives: "disk faults for unmodified servers (not used yet)", Get: "modprobe fuse; read and write access to /dev/fuse"}
	file, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		f.Found = err.Error()
		return f
	}
	defer file.Close()
	f.OK, f.Found = true, "/dev/fuse opens"
	return f
}

func java(ctx context.Context) Finding {
	f := Finding{Name: "Java", Gives: "Apache ZooKeeper", Get: "apt-get install openjdk-17-jre-headless"}
	said, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		f.Found = err.Error()
		return f
	}
	first, _, _ := strings.Cut(string(said), "\n")
	f.OK, f.Found = true, first
	return f
}

func apacheZooKeeper() Finding {
	f := Finding{Name: "Apache ZooKeeper", Gives: "--implementation apache",
		Get: "apt-get install --no-install-recommends zookeeper libslf4j-java liblog4j1.2-java"}
	apache, err := ensemble.FindApache()
	if err != nil {
		f.Found = err.Error()
		return f
	}
	f.OK, f.Found = true, apache.String()
	return f
}

// ports binds as many as a large run takes, below the range from which the kernel draws.
func ports() Finding {
	f := Finding{Name: "free ports", Gives: "the process driver", Get: "end what holds the ports from 20000 to 32767"}
	var held []net.Listener
	defer func() {
		for _, listener := range held {
			listener.Close()
		}
	}()
	for port := 20000; port < 32768 && len(held) < portsWanted; port++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			held = append(held, listener)
		}
	}
	f.OK, f.Found = len(held) == portsWanted, fmt.Sprintf("%d of %d wanted", len(held), portsWanted)
	return f
}

func disk(out string) Finding {
	f := Finding{Name: "disk", Gives: "room for histories and data directories", Get: "make room, or choose another --out"}
	for {
		if _, err := os.Stat(out); err == nil || out == "." || out == "/" {
			break
		}
		out = filepath.Dir(out)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(out, &stat); err != nil {
		f.Found = err.Error()
		return f
	}
	free := stat.Bavail * uint64(stat.Bsize)
	started := time.Now()
	probe, err := os.CreateTemp(out, ".ordeal-probe-*")
	if err != nil {
		f.Found = err.Error()
		return f
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	if _, err = probe.Write([]byte{1}); err == nil {
		err = probe.Sync()
	}
	if err != nil {
		f.Found = err.Error()
		return f
	}
	f.OK = free >= diskWanted
	f.Found = fmt.Sprintf("%d MiB free in %s, an fsync takes %v", free>>20, out, time.Since(started).Round(10*time.Microsecond))
	return f
}
