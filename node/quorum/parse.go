package quorum

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Parse reads the text that [Config.String] renders: lines server.N, group.N, weight.N and version.
// Blank lines and lines that begin with # are skipped; anything else is an error.
func Parse(text string) (*Config, error) {
	var builder Builder
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found {
			return nil, fmt.Errorf("line %d: %q is not of the form key=value", number+1, line)
		}
		known, err := builder.Add(strings.TrimSpace(key), strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
		if !known {
			return nil, fmt.Errorf("line %d: unknown key %q; a membership has only server.N, group.N, weight.N and version", number+1, key)
		}
	}
	return builder.Config()
}

// Builder collects the keys of a membership one by one, for readers of files in which other keys
// stand between them. The zero value is ready to use.
type Builder struct {
	config Config
	groups map[int64][]int64
}

// Add takes one key with its value. It answers false if the key is none of a membership's.
func (b *Builder) Add(key, value string) (known bool, err error) {
	if key == "version" {
		version, err := strconv.ParseUint(value, 16, 64)
		if err != nil {
			return true, fmt.Errorf("version=%s: want a hexadecimal number", value)
		}
		b.config.Version = int64(version)
		return true, nil
	}
	kind, number, found := strings.Cut(key, ".")
	if !found || (kind != "server" && kind != "group" && kind != "weight") {
		return false, nil
	}
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return true, fmt.Errorf("%s: %q is not a number", key, number)
	}
	switch kind {
	case "server":
		err = b.addServer(id, value)
	case "group":
		err = b.addGroup(id, value)
	case "weight":
		err = b.addWeight(id, value)
	}
	if err != nil {
		return true, fmt.Errorf("%s=%s: %w", key, value, err)
	}
	return true, nil
}

func (b *Builder) addServer(id int64, value string) error {
	if id < 0 || id > IDMax {
		return fmt.Errorf("the server id must lie between 0 and %d", IDMax)
	}
	if _, twice := b.config.Server(id); twice {
		return fmt.Errorf("server %d is named twice", id)
	}
	server, err := parseServer(id, value)
	if err != nil {
		return err
	}
	b.config.Servers = append(b.config.Servers, server)
	sort.Slice(b.config.Servers, func(i, j int) bool { return b.config.Servers[i].ID < b.config.Servers[j].ID })
	return nil
}

func (b *Builder) addGroup(id int64, value string) error {
	if _, twice := b.groups[id]; twice {
		return fmt.Errorf("group %d is named twice", id)
	}
	if b.groups == nil {
		b.groups = map[int64][]int64{}
	}
	members := []int64{}
	for _, word := range strings.Split(value, ":") {
		member, err := strconv.ParseInt(strings.TrimSpace(word), 10, 64)
		if err != nil {
			return fmt.Errorf("member %q is not a number", word)
		}
		members = append(members, member)
	}
	sort.Slice(members, func(i, j int) bool { return members[i] < members[j] })
	b.groups[id] = members
	return nil
}

func (b *Builder) addWeight(id int64, value string) error {
	weight, err := strconv.ParseInt(value, 10, 64)
	if err != nil || weight < 0 {
		return fmt.Errorf("a weight is a number of 0 or more")
	}
	if b.config.Weights == nil {
		b.config.Weights = map[int64]int64{}
	}
	b.config.Weights[id] = weight
	return nil
}

// Config checks what was added as a whole and returns it. A membership without servers is valid:
// it is that of a standalone server.
func (b *Builder) Config() (*Config, error) {
	config := b.config
	grouped := map[int64]int64{}
	for id := range b.groups { // any order: they are sorted below
		config.Groups = append(config.Groups, Group{ID: id, Members: b.groups[id]})
	}
	sort.Slice(config.Groups, func(i, j int) bool { return config.Groups[i].ID < config.Groups[j].ID })
	for _, group := range config.Groups {
		for _, member := range group.Members {
			if !config.IsVoter(member) {
				return nil, fmt.Errorf("group.%d: server %d is not a participant", group.ID, member)
			}
			if other, twice := grouped[member]; twice {
				return nil, fmt.Errorf("group.%d: server %d is already in group %d", group.ID, member, other)
			}
			grouped[member] = group.ID
		}
	}
	if len(config.Groups) > 0 {
		for _, voter := range config.Voters() {
			if _, member := grouped[voter]; !member {
				return nil, fmt.Errorf("server.%d: every participant must be in a group once there are groups", voter)
			}
		}
	}
	if len(config.Weights) > 0 && len(config.Groups) == 0 {
		return nil, fmt.Errorf("weight.N is given without any group.N; weights count only inside groups")
	}
	if len(config.Servers) > 0 && len(config.Voters()) == 0 {
		return nil, fmt.Errorf("there are only observers; an ensemble needs at least one participant")
	}
	if len(config.Groups) > 0 && newHierarchical(&config).groupsWithWeight == 0 {
		return nil, fmt.Errorf("all weights are 0; no quorum could ever form")
	}
	return &config, nil
}

// parseServer reads the right side of a server line.
func parseServer(id int64, value string) (Server, error) {
	server := Server{ID: id}
	line, client, hasClient := strings.Cut(value, ";")
	if strings.Contains(line, "|") {
		return server, fmt.Errorf("several addresses for one server (multiAddress) are not supported")
	}
	host, words, err := splitHost(strings.TrimSpace(line))
	if err != nil {
		return server, err
	}
	if host == "" || len(words) < 2 || len(words) > 3 {
		return server, fmt.Errorf("want host:quorumPort:electionPort[:role][;[clientHost:]clientPort]")
	}
	server.Host = host
	if server.QuorumPort, err = parsePort(words[0]); err != nil {
		return server, err
	}
	if server.ElectionPort, err = parsePort(words[1]); err != nil {
		return server, err
	}
	if len(words) == 3 {
		switch strings.ToLower(words[2]) {
		case "participant":
		case "observer":
			server.Role = Observer
		default:
			return server, fmt.Errorf("role %q is neither participant nor observer", words[2])
		}
	}
	if !hasClient {
		return server, nil
	}
	client = strings.TrimSpace(client)
	server.ClientHost = "0.0.0.0" // as Apache: a bare port means every address
	port := client
	if strings.Contains(client, ":") {
		host, words, err := splitHost(client)
		if err != nil {
			return server, err
		}
		if host == "" || len(words) != 1 {
			return server, fmt.Errorf("client address %q is not [host:]port", client)
		}
		server.ClientHost, port = host, words[0]
	}
	server.ClientPort, err = parsePort(port)
	return server, err
}

// splitHost splits "host:a:b" or "[v6]:a:b" into the host and the words behind it.
func splitHost(text string) (host string, words []string, err error) {
	if strings.HasPrefix(text, "[") {
		inside, rest, closed := strings.Cut(text[1:], "]")
		if !closed || !strings.HasPrefix(rest, ":") {
			return "", nil, fmt.Errorf("address %q: want [IPv6]:port", text)
		}
		return inside, strings.Split(rest[1:], ":"), nil
	}
	words = strings.Split(text, ":")
	return words[0], words[1:], nil
}

func parsePort(text string) (int, error) {
	port, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", text)
	}
	return port, nil
}
