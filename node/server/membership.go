package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ordeal/node/peer"
	"ordeal/node/quorum"
)

// The files that keep a changing membership (protocol.md 5.6). The static file only points to the present
// one, whose name ends in its version; the one that was proposed last stands beside them.
const (
	membershipSuffix     = ".dynamic."
	nextMembershipSuffix = ".dynamic.next"
)

// membership writes down who belongs to the ensemble and goes by it from now on.
func (s *shell) membership(membership peer.Membership) {
	if err := saveMembership(s.config.Path, s.config.MyID, s.savedVersion, membership); err != nil {
		s.log.Error("the membership cannot be written down; a restart will find the former one and learn this one from others", "error", err)
	}
	s.savedVersion = membership.Present.Version
	self, named := membership.Present.Server(s.config.MyID)
	if named && s.self != self {
		s.move(self)
	}
	s.leader.membership = membership
	s.election.setMembership(s.ports, s.self, membership)
}

// move takes this server's ports to the addresses of its new line. Connections that stand stay.
func (s *shell) move(self quorum.Server) {
	before := s.self
	s.self = self
	if self.ClientPort != 0 && !samePlace(self.ClientHost, self.ClientPort, s.clientHost, s.clientPort) {
		s.clientHost, s.clientPort = self.ClientHost, self.ClientPort
		s.listenAt(s.listenWithBacklog, "client", net.JoinHostPort(self.ClientHost, strconv.Itoa(self.ClientPort)), s.client.moves)
	}
	if self.ElectionAddress() != before.ElectionAddress() {
		s.listenAt(listenTCP, "election", s.own(self.ElectionAddress()), s.election.moves)
	}
	s.learner.moveTo(s.own(self.QuorumAddress()))
}

func samePlace(host string, port int, otherHost string, otherPort int) bool {
	everywhere := func(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }
	return port == otherPort && (host == otherHost || (everywhere(host) && everywhere(otherHost)))
}

// opening is listenTCP or listenWithBacklog.
type opening func(ctx context.Context, purpose, address string) (net.Listener, error)

// listenAt opens a port at another address, for whoever accepts there.
func (s *shell) listenAt(open opening, purpose, address string, moves chan net.Listener) {
	listener, err := open(s.ports, purpose, address)
	if err != nil {
		s.log.Error("a port stays where it was", "error", err)
		return
	}
	select {
	case unused := <-moves:
		unused.Close()
	default:
	}
	moves <- listener
}

// saveMembership brings the files beside zoo.cfg up to date: savedVersion is what they hold as present. Whatever
// moment the process ends at, they name one whole membership.
func saveMembership(path string, id, savedVersion int64, membership peer.Membership) error {
	next := path + nextMembershipSuffix
	if membership.Next != nil {
		if err := replaceFile(next, membership.Next.FileText(true)); err != nil {
			return err
		}
	}
	if membership.Present.Version != savedVersion {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		dynamic := absolute + membershipSuffix + strconv.FormatUint(uint64(membership.Present.Version), 16)
		if err := replaceFile(dynamic, membership.Present.FileText(false)); err != nil {
			return err
		}
		self, _ := membership.Present.Server(id)
		if err := pointTo(path, dynamic, self.ClientPort != 0); err != nil {
			return err
		}
	}
	if membership.Next == nil {
		if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// pointTo rewrites the static file so that it names the dynamic one instead of servers. The first time the
// original is kept under another name. The client port goes if the membership has it.
func pointTo(path, dynamic string, hasClientPort bool) error {
	content, lines, err := readLines(path)
	if err != nil {
		return err
	}
	var text strings.Builder
	pointed := false
	for _, line := range lines {
		kind, _, _ := strings.Cut(line.key, ".")
		switch {
		case line.key == "dynamicConfigFile":
			pointed = true
			continue
		case kind == "server", kind == "group", kind == "weight", line.key == "peerType", line.key == "version":
			continue
		case hasClientPort && (line.key == "clientPort" || line.key == "clientPortAddress"):
			continue
		}
		fmt.Fprintf(&text, "%s=%s\n", line.key, line.value)
	}
	fmt.Fprintf(&text, "dynamicConfigFile=%s\n", dynamic)
	if !pointed {
		if err := replaceFile(path+".bak", content); err != nil {
			return err
		}
	}
	return replaceFile(path, text.String())
}

// replaceFile replaces a file as a whole: after a crash it is the old one or the new one.
func replaceFile(path, text string) (err error) {
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer directory.Close()
	temporary := path + ".tmp"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return directory.Sync()
}

// self is this server's line of the present membership. Who is not named there has no vote, and keeps the
// addresses that it was started with.
func (w *words) self(state peer.State) quorum.Server {
	if self, found := w.membership(state).Server(w.config.MyID); found {
		return self
	}
	self := w.config.self()
	self.Role = quorum.Observer
	return self
}

// clientPort is where clients connect to: a reconfiguration may have moved it.
func (w *words) clientPort(state peer.State) int {
	if w.config.Standalone {
		return w.config.ClientPort
	}
	return cmp.Or(w.self(state).ClientPort, w.config.ClientPort)
}

// membership is who belongs to the ensemble at present.
func (w *words) membership(state peer.State) *quorum.Config {
	if state.Membership.Present != nil {
		return state.Membership.Present
	}
	return w.config.Membership
}
