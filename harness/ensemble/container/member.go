package container

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcexec "github.com/testcontainers/testcontainers-go/exec"

	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/agent"
)

// memberPath is where a member of our node or of Apache has its directory, in its container.
const memberPath = "/member"

// Where the official image keeps snapshots and transaction logs.
const (
	officialData    = "/data"
	officialDataLog = "/datalog"
)

// member is one member: its agent's container and its own.
type member struct {
	id             int
	implementation ensemble.Implementation
	image          string
	ensemble       *Ensemble

	agent         *testcontainers.DockerContainer
	server        *testcontainers.DockerContainer
	address       netip.Addr // in the run's network; it outlives kills
	clientAddress string
	probeAddress  string
	log           *logFile

	mu   sync.Mutex
	life *life // the last one; nil before the first
}

// host is the member's name in the run's network.
func host(id int) string { return "member-" + strconv.Itoa(id) }

// startAgent starts the container that owns the member's network namespace.
func (m *member) startAgent(ctx context.Context, image string) error {
	ports := network.PortMap{}
	var exposed []string
	for _, port := range []int{agent.ClientPort, agent.ProbePort} {
		name := strconv.Itoa(port) + "/tcp"
		exposed = append(exposed, name)
		ports[network.MustParsePort(name)] = []network.PortBinding{{HostIP: m.ensemble.publish}}
	}
	started, err := testcontainers.Run(ctx, image,
		testcontainers.WithCmd("agent", "serve"),
		testcontainers.WithLabels(m.ensemble.labels()),
		testcontainers.WithExposedPorts(exposed...),
		testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
			host.CapAdd = []string{"NET_ADMIN"}
			host.PortBindings = ports
		}),
		testcontainers.CustomizeRequestOption(func(request *testcontainers.GenericContainerRequest) error {
			request.Networks = []string{m.ensemble.network.Name}
			request.NetworkAliases = map[string][]string{m.ensemble.network.Name: {host(m.id)}}
			return nil
		}),
	)
	m.agent = started // together with an error a container may have been made
	if err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	m.ensemble.attending.Go(m.attendAgent)
	ip, err := started.ContainerIP(ctx)
	if err != nil {
		return fmt.Errorf("find the agent's address: %w", err)
	}
	if m.address, err = netip.ParseAddr(ip); err != nil {
		return fmt.Errorf("the agent's address: %w", err)
	}
	if m.clientAddress, err = m.ensemble.published(ctx, started, agent.ClientPort); err != nil {
		return err
	}
	m.probeAddress, err = m.ensemble.published(ctx, started, agent.ProbePort)
	return err
}

// create makes the member's container in the agent's namespace and starts it.
func (m *member) create(ctx context.Context) error {
	folder := filepath.Join(m.ensemble.spec.Dir, strconv.Itoa(m.id))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	log, err := openLog(filepath.Join(folder, "log"))
	if err != nil {
		return err
	}
	m.log = log
	options := []testcontainers.ContainerCustomizer{
		testcontainers.WithLabels(m.ensemble.labels()),
		testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
			host.NetworkMode = container.NetworkMode("container:" + m.agent.GetContainerID())
		}),
	}
	plan, err := m.plan(folder)
	if err != nil {
		return err
	}
	options = append(options, plan...)
	started, err := testcontainers.Run(ctx, m.image, options...)
	m.server = started
	if err != nil {
		return fmt.Errorf("start %s: %w", m.implementation, err)
	}
	m.begin()
	return nil
}

// ask runs the agent's program in its container, with the arguments after "agent".
func (m *member) ask(ctx context.Context, arguments ...string) error {
	command := append([]string{programPath, "agent"}, arguments...)
	code, output, err := m.agent.Exec(ctx, command, tcexec.Multiplexed())
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	said, err := io.ReadAll(io.LimitReader(output, agentOutputMax))
	if err != nil {
		return fmt.Errorf("read the agent's answer: %w", err)
	}
	if code != 0 {
		return fmt.Errorf("the agent refused %q: %s", strings.Join(arguments, " "), bytes.TrimSpace(said))
	}
	return nil
}

// agentOutputMax bounds what is kept of an agent's words, in bytes.
const agentOutputMax = 4096

// apply brings the member's packet filter to what the active faults want.
func (m *member) apply(ctx context.Context) error {
	rules, err := json.Marshal(m.ensemble.rules(m))
	if err != nil {
		return err
	}
	return m.ask(ctx, "rules", string(rules))
}

// current is the life under way, or the last one; nil before the first.
func (m *member) current() *life {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life
}

func (m *member) running() bool { return m.current().running() }

// collect copies the member's data out of its container into folder.
func (m *member) collect(ctx context.Context, folder string) error {
	if m.server == nil {
		return nil
	}
	if err := m.log.save(filepath.Join(folder, "log")); err != nil {
		return err
	}
	for _, path := range m.dataPaths() {
		err := m.copyOut(ctx, path, folder)
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("collect %s: %w", path, err)
		}
	}
	return nil
}

func (m *member) copyOut(ctx context.Context, path, folder string) error {
	copied, err := m.ensemble.engine.CopyFromContainer(ctx, m.server.GetContainerID(), client.CopyFromContainerOptions{SourcePath: path})
	if err != nil {
		return err
	}
	defer copied.Content.Close()
	return unpack(copied.Content, folder)
}

// unpack writes the files of a tar stream below folder. It refuses names that lead out of it.
func unpack(stream io.Reader, folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	reader := tar.NewReader(stream)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch header.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(filepath.Clean(header.Name), 0o755)
		case tar.TypeReg:
			err = writeFile(root, filepath.Clean(header.Name), reader)
		}
		if err != nil {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, content io.Reader) error {
	file, err := root.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// remove ends and removes both containers.
func (m *member) remove(ctx context.Context) error {
	var err error
	for _, each := range []*testcontainers.DockerContainer{m.server, m.agent} {
		if each != nil {
			err = errors.Join(err, each.Terminate(ctx, testcontainers.StopTimeout(0)))
		}
	}
	if m.log != nil {
		err = errors.Join(err, m.log.close())
	}
	return err
}
