package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

// Labels by which everything that this driver makes on an engine is found again.
const (
	labelRun   = "org.ordeal.run"   // the run's name: containers and networks
	labelOwner = "org.ordeal.owner" // host:pid of the process that made it
	labelNeeds = "org.ordeal.needs" // networks: the images of this project that the run needs
	labelImage = "org.ordeal.image" // what an image is for: node or apache
)

// engineTimeout bounds a single small request to the engine.
const engineTimeout = 10 * time.Second

// reaperSwitch turns the library's own reaper off, which wants an image from a registry. Only this
// literal value does. It is read once, so it is set before the library's first call.
const reaperSwitch = "TESTCONTAINERS_RYUK_DISABLED"

// hostSwitch tells the library where published ports are. Inside a container it would guess the
// gateway, but ports are published on the loopback address of the engine's host.
const hostSwitch = "TESTCONTAINERS_HOST_OVERRIDE"

// Engine is what is known of the Docker engine that answers.
type Engine struct {
	Version    string
	APIVersion string
}

// Available asks the engine who it is. The error says what to do where none answers.
func Available(ctx context.Context) (Engine, error) {
	engine, err := connect(ctx)
	if err != nil {
		return Engine{}, err
	}
	defer engine.Close()
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	version, err := engine.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return Engine{}, noEngine(err)
	}
	return Engine{Version: version.Version, APIVersion: version.APIVersion}, nil
}

func noEngine(err error) error {
	return fmt.Errorf("no Docker engine answers (start one, set DOCKER_HOST, or use the process driver): %w", err)
}

// connect returns a client of the engine that the environment names.
func connect(ctx context.Context) (*testcontainers.DockerClient, error) {
	if err := os.Setenv(reaperSwitch, "true"); err != nil {
		return nil, err
	}
	tclog.SetDefault(tclog.NewNoopLogger()) // its greetings belong to nobody who runs a test
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	engine, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, noEngine(err)
	}
	// The library goes on to other places where it finds nobody at the one that it was told of.
	if asked := os.Getenv(client.EnvOverrideHost); asked != "" && asked != engine.DaemonHost() {
		err := fmt.Errorf("%s is %s, but the engine that answers is at %s: unset the first to use it", client.EnvOverrideHost, asked, engine.DaemonHost())
		return nil, errors.Join(err, engine.Close())
	}
	if remoteHost(engine.DaemonHost()) == "" && os.Getenv(hostSwitch) == "" {
		if err := os.Setenv(hostSwitch, loopback); err != nil {
			return nil, errors.Join(err, engine.Close())
		}
	}
	return engine, nil
}

const loopback = "127.0.0.1"

// remoteHost is the host in an engine's address, wherever that was found (DOCKER_HOST, a Docker context, a
// file of properties), or empty if it is this machine.
func remoteHost(engine string) string {
	address, err := url.Parse(engine)
	if err != nil || address.Scheme == "unix" || address.Scheme == "npipe" {
		return ""
	}
	host := address.Hostname()
	if ip, err := netip.ParseAddr(host); host == "localhost" || (err == nil && ip.IsLoopback()) {
		return ""
	}
	return host
}

// publishAddress is where an engine publishes members' ports: on no more than the one address by which it
// is reached.
func publishAddress(ctx context.Context, engine string) (netip.Addr, error) {
	host := remoteHost(engine)
	if host == "" {
		return netip.MustParseAddr(loopback), nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the address of the Docker engine's host, where members' ports are published: %w", err)
	}
	return found[0].Unmap(), nil
}
