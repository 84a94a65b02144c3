package zab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/jute"
)

// A transcript in testdata is a conversation: a line at the margin is an input, the indented lines
// under it are all that comes of it. Lines with # are comments. ZAB_UPDATE=1 writes what comes
// instead of comparing it: read the difference before you keep it.
//
// Zxids are written epoch.counter. "disk" carries out the oldest disk operation that is waited for.

// script takes the inputs of one transcript.
type script interface {
	// input carries one out; what comes of it is handed to output.
	input(words []string)
}

type transcript struct {
	t      *testing.T
	output []string
}

func (tr *transcript) say(format string, args ...any) {
	tr.output = append(tr.output, fmt.Sprintf(format, args...))
}

func runTranscripts(t *testing.T, pattern string, start func(*transcript) script) {
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			recorded, err := os.ReadFile(file)
			require.NoError(t, err)
			tr := &transcript{t: t}
			s := start(tr)
			var played strings.Builder
			for _, line := range strings.Split(strings.TrimRight(string(recorded), "\n"), "\n") {
				if strings.HasPrefix(line, "  ") {
					continue
				}
				fmt.Fprintln(&played, line)
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				tr.output = nil
				s.input(strings.Fields(line))
				for _, output := range tr.output {
					fmt.Fprintf(&played, "  %s\n", output)
				}
			}
			if os.Getenv("ZAB_UPDATE") != "" {
				require.NoError(t, os.WriteFile(file, []byte(played.String()), 0o644))
				return
			}
			require.Equal(t, string(recorded), played.String())
		})
	}
}

// zxidOf reads epoch.counter.
func zxidOf(t *testing.T, word string) int64 {
	epoch, counter, found := strings.Cut(word, ".")
	require.True(t, found, "zxid %q", word)
	e, err := strconv.ParseInt(epoch, 10, 64)
	require.NoError(t, err)
	c, err := strconv.ParseInt(counter, 10, 64)
	require.NoError(t, err)
	return EpochStart(e) + c
}

func zxidText(zxid int64) string {
	if zxid == -1 {
		return "-"
	}
	return fmt.Sprintf("%d.%d", Epoch(zxid), Counter(zxid))
}

func entryFor(zxid int64) disk.Entry {
	return disk.Entry{Zxid: zxid, Payload: jute.EncodePayload(jute.TxnHeader{Zxid: zxid, Type: jute.OpError}, &jute.ErrorTxn{}, nil)}
}

// entriesOf reads zxids and ranges of them: 1.1-1.4,2.1.
func entriesOf(t *testing.T, list string) []disk.Entry {
	var entries []disk.Entry
	if list == "" {
		return nil
	}
	for _, part := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		for zxid := zxidOf(t, from); zxid <= zxidOf(t, to); zxid++ {
			entries = append(entries, entryFor(zxid))
		}
	}
	return entries
}

// options are the words key=value of an input.
func options(words []string) map[string]string {
	values := map[string]string{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		values[key] = value
	}
	return values
}

func number(t *testing.T, text string) int64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

func span(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

var packetTypes = map[string]int32{}

func init() {
	for packetType := jute.PacketRequest; packetType <= jute.PacketInformAndActivate; packetType++ {
		packetTypes[jute.PacketName(packetType)] = packetType
	}
}

// packetOf reads "NAME zxid key=value…".
func packetOf(t *testing.T, words []string) *jute.QuorumPacket {
	packetType, known := packetTypes[words[0]]
	require.True(t, known, "packet %q", words[0])
	packet := &jute.QuorumPacket{Type: packetType, Zxid: -1}
	if len(words) > 1 && words[1] != "-" {
		packet.Zxid = zxidOf(t, words[1])
	}
	set := options(words)
	switch packetType {
	case jute.PacketFollowerInfo, jute.PacketObserverInfo:
		packet.Data = jute.Marshal(jute.LearnerInfo{ServerID: number(t, set["id"]), ProtocolVersion: jute.LearnerProtocolVersion, ConfigVersion: number(t, set["config"])})
	case jute.PacketLeaderInfo:
		packet.Data = jute.Marshal(jute.LeaderInfo{ProtocolVersion: jute.LearnerProtocolVersion})
	case jute.PacketAckEpoch:
		packet.Data = jute.Marshal(jute.AckEpoch{Epoch: int32(number(t, set["current"]))})
	case jute.PacketProposal, jute.PacketInform:
		packet.Data = entryFor(packet.Zxid).Payload
	case jute.PacketRevalidate:
		packet.Data = jute.Marshal(jute.RevalidateRequest{SessionID: number(t, set["session"]), TimeOut: 1000})
	case jute.PacketRequest:
		packet.Data = jute.Marshal(jute.ForwardedRequest{SessionID: number(t, set["session"]), Cxid: 1, Type: jute.OpSetData})
	}
	if _, broken := set["garbage"]; broken {
		packet.Data = []byte{1, 2, 3}
	}
	return packet
}

func packetText(packet *jute.QuorumPacket) string {
	text := jute.PacketName(packet.Type) + " " + zxidText(packet.Zxid)
	if packet.Type == jute.PacketAckEpoch {
		var ack jute.AckEpoch
		if jute.Unmarshal(packet.Data, &ack) == nil {
			text += fmt.Sprintf(" current=%d", ack.Epoch)
		}
	}
	return text
}

// fakeDisk keeps what is waited for until the transcript says "disk".
type fakeDisk struct {
	tr      *transcript
	waiting []func()
}

func (d *fakeDisk) order(done func(), format string, args ...any) {
	d.tr.say(format, args...)
	d.waiting = append(d.waiting, done)
}

func (d *fakeDisk) next() {
	require.NotEmpty(d.tr.t, d.waiting, "nothing is asked of the disk")
	done := d.waiting[0]
	d.waiting = d.waiting[1:]
	done()
}

func (d *fakeDisk) SaveAcceptedEpoch(epoch int64, done func()) {
	d.order(done, "save acceptedEpoch %d", epoch)
}

func (d *fakeDisk) SaveCurrentEpoch(epoch int64, done func()) {
	d.order(done, "save currentEpoch %d", epoch)
}
