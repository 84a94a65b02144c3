package election

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func unhex(t *testing.T, text string) []byte {
	data, err := hex.DecodeString(text)
	require.NoError(t, err)
	return data
}

const (
	hexState = "00000002"                                                   // LEADING
	hexVote  = "0000000000000003" + "0000000500000007" + "0000000000000009" // leader, zxid, round
	hexEpoch = "0000000000000004"
)

func TestNotificationLayouts(t *testing.T) {
	base := Notification{State: Leading, Leader: 3, Zxid: 0x500000007, ElectionEpoch: 9}
	with := func(epoch int64, version int32, config string) Notification {
		n := base
		n.PeerEpoch, n.Version, n.Config = epoch, version, config
		return n
	}
	for _, test := range []struct {
		name, data string
		want       Notification
	}{
		{"28 bytes: the epoch is that of the zxid", hexState + hexVote, with(5, 0, "")},
		{"40 bytes: 3.4 without a version", hexState + hexVote + hexEpoch + "00000001", with(4, 0, "")},
		{"version 1 has no configuration", hexState + hexVote + hexEpoch + "0000000100000000", with(4, 1, "")},
		{"version 2", hexState + hexVote + hexEpoch + "00000002" + "00000003" + "616263", with(4, 2, "abc")},
		{"bytes behind it are ignored", hexState + hexVote + hexEpoch + "00000002" + "00000001" + "616263", with(4, 2, "a")},
		{"an empty configuration", hexState + hexVote + hexEpoch + "00000002" + "00000000", with(4, 2, "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := DecodeNotification(unhex(t, test.data))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

// A malformed notification is an error and nothing more: in Apache it once ended the thread that
// reads them all (ZOOKEEPER-3769).
func TestMalformedNotifications(t *testing.T) {
	full := hexState + hexVote + hexEpoch + "00000002"
	for _, test := range []struct{ name, data, want string }{
		{"empty", "", "at least 28"},
		{"27 bytes", (hexState + hexVote)[:54], "at least 28"},
		{"36 bytes end before the version", hexState + hexVote + hexEpoch, "ends early"},
		{"30 bytes end inside the epoch", hexState + hexVote + "0000", "ends early"},
		{"configuration without a length", full + "0000", "ends early"},
		{"configuration longer than the rest", full + "00000004" + "616263", "ends early"},
		{"configuration of negative length", full + "fffffffe" + "616263", "unreasonable length"},
		{"configuration of absurd length", full + "7fffffff" + "616263", "unreasonable length"},
		{"unknown state", "00000004" + hexVote, "unknown state 4"},
		{"negative state", "ffffffff" + hexVote, "unknown state -1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := DecodeNotification(unhex(t, test.data))
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestNotificationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := Notification{
			State:         State(rapid.Int32Range(0, 3).Draw(t, "state")),
			Leader:        rapid.Int64().Draw(t, "leader"),
			Zxid:          rapid.Int64().Draw(t, "zxid"),
			ElectionEpoch: rapid.Int64().Draw(t, "round"),
			PeerEpoch:     rapid.Int64().Draw(t, "epoch"),
			Version:       NotificationVersion,
			Config:        rapid.String().Draw(t, "config"),
		}
		got, err := DecodeNotification(n.Encode())
		require.NoError(t, err)
		require.Equal(t, n, got)
	})
}

func FuzzDecodeNotification(f *testing.F) {
	f.Add(Notification{Version: NotificationVersion, Config: "server.1=a:1:2\nversion=0"}.Encode())
	f.Add(make([]byte, lengthWithoutPeerEpoch))
	f.Add(make([]byte, lengthWithoutVersion))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := DecodeNotification(data)
		if err != nil || n.Version < NotificationVersion {
			return
		}
		n.Version = NotificationVersion
		again, err := DecodeNotification(n.Encode())
		require.NoError(t, err)
		require.Equal(t, n, again)
	})
}
