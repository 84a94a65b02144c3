package container

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/testcontainers/testcontainers-go"

	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/agent"
)

// imagePrefix marks an implementation that is an image of the user's.
const imagePrefix = "image:"

// imageOf is the image of an implementation, built if it is ours to build.
func (e *Ensemble) imageOf(ctx context.Context, implementation ensemble.Implementation, program string) (string, error) {
	if reference, given := strings.CutPrefix(string(implementation), imagePrefix); given {
		if _, err := e.engine.ImageInspect(ctx, reference); err != nil {
			return "", fmt.Errorf("the engine has no image %s (docker pull or docker load it first): %w", reference, err)
		}
		return reference, nil
	}
	if implementation == ensemble.Apache {
		return ApacheImage, BuildApache(ctx, false)
	}
	return program, nil
}

// digest names an image by its content.
func (e *Ensemble) digest(ctx context.Context, image string) (string, error) {
	found, err := e.engine.ImageInspect(ctx, image)
	if err != nil {
		return "", fmt.Errorf("inspect image %s: %w", image, err)
	}
	return image + "@" + found.ID, nil
}

// plan says how the member's container is started. Its configuration is written into folder first,
// so that it stands among the results.
func (m *member) plan(folder string) ([]testcontainers.ContainerCustomizer, error) {
	if m.official() {
		return []testcontainers.ContainerCustomizer{testcontainers.WithEnv(m.officialEnvironment())}, nil
	}
	spec := m.ensemble.spec
	err := ensemble.WriteMember(folder, spec, ensemble.MemberConfig{
		ID: m.id, Servers: m.ensemble.servers(), DataDir: memberPath + "/" + ensemble.DataDirName, ClientPort: agent.ClientPort,
	})
	if err != nil {
		return nil, err
	}
	options, err := copied(folder)
	if err != nil {
		return nil, err
	}
	if m.implementation == ensemble.Node {
		return append(options, testcontainers.WithCmd(ensemble.NodeArguments(spec, memberPath+"/"+ensemble.ZooCfgName)...)), nil
	}
	apache, err := ensemble.FindApache()
	if err != nil {
		return nil, err
	}
	return append(options,
		testcontainers.WithEntrypoint(imageJava+"/bin/java"),
		testcontainers.WithCmd(ensemble.ApacheArguments(nil, apache.ClassPath, memberPath)...)), nil
}

// copied puts the files below folder, other than the log, into the container's memberPath.
func copied(folder string) ([]testcontainers.ContainerCustomizer, error) {
	var options []testcontainers.ContainerCustomizer
	for _, pattern := range []string{"*", "*/*"} {
		paths, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			inside, err := filepath.Rel(folder, path)
			if err != nil {
				return nil, err
			}
			if inside == ensemble.LogName || inside == ensemble.DataDirName {
				continue
			}
			options = append(options, testcontainers.WithFiles(testcontainers.ContainerFile{
				HostFilePath: path, ContainerFilePath: memberPath + "/" + inside, FileMode: 0o644,
			}))
		}
	}
	return options, nil
}

// servers are all members as they reach one another.
func (e *Ensemble) servers() []ensemble.Server {
	var list []ensemble.Server
	for i := range e.spec.Implementations {
		list = append(list, ensemble.Server{
			ID: i + 1, Host: host(i + 1), QuorumPort: agent.QuorumPort, ElectionPort: agent.ElectionPort,
			Observer: i >= len(e.spec.Implementations)-e.spec.Observers,
		})
	}
	return list
}

// official tells whether the member runs a user's image, which takes the official image's variables.
func (m *member) official() bool { return strings.HasPrefix(string(m.implementation), imagePrefix) }

// officialEnvironment is what the official ZooKeeper image, and those made after it, are told.
func (m *member) officialEnvironment() map[string]string {
	var servers, extra []string
	for _, s := range m.ensemble.servers() {
		role := "participant"
		if s.Observer {
			role = "observer"
		}
		servers = append(servers, fmt.Sprintf("server.%d=%s:%d:%d:%s;%d", s.ID, s.Host, s.QuorumPort, s.ElectionPort, role, agent.ClientPort))
	}
	for _, name := range ensemble.SortedNames(m.ensemble.spec.Properties) {
		extra = append(extra, name+"="+m.ensemble.spec.Properties[name])
	}
	spec := m.ensemble.spec
	return map[string]string{
		"ZOO_MY_ID":                  strconv.Itoa(m.id),
		"ZOO_SERVERS":                strings.Join(servers, " "),
		"ZOO_TICK_TIME":              strconv.FormatInt(spec.TickTime.Milliseconds(), 10),
		"ZOO_INIT_LIMIT":             strconv.Itoa(spec.InitLimit),
		"ZOO_SYNC_LIMIT":             strconv.Itoa(spec.SyncLimit),
		"ZOO_MAX_CLIENT_CNXNS":       "0",
		"ZOO_ADMINSERVER_ENABLED":    "false",
		"ZOO_4LW_COMMANDS_WHITELIST": "*",
		"ZOO_CFG_EXTRA":              strings.Join(extra, " "),
	}
}

// dataPaths are the folders of the container that are collected.
func (m *member) dataPaths() []string {
	if m.official() {
		return []string{officialData, officialDataLog}
	}
	return []string{memberPath + "/" + ensemble.DataDirName}
}
