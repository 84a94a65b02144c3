//go:build integration

package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/internal/duel"
	"ordeal/node/jute"
)

// TestIntegrationApachesFollowerForwardsWhatNoClientMay: its client is refused by our leader and goes on, where a check
// alone would bring down an ensemble of Apache's servers (ZOOKEEPER-2623).
func TestIntegrationApachesFollowerForwardsWhatNoClientMay(t *testing.T) {
	g := startGrowing(t, []string{"apache", "node", "node"})
	require.NotEqual(t, 1, g.leader())
	wire := duel.TCP(t, g.clients[0])()
	wire.Write(jute.Marshal(jute.ConnectRequest{TimeOut: 10_000, Passwd: make([]byte, jute.PasswordSize)}))
	var session jute.ConnectResponse
	require.NoError(t, jute.Unmarshal(wire.Read(), &session))
	require.NotZero(t, session.SessionID)
	for xid, request := range []struct {
		op   jute.OpCode
		body jute.Record
		want jute.Code
	}{
		{jute.OpCheck, jute.CheckVersionRequest{Path: "/", Version: -1}, jute.Unimplemented},
		{jute.OpDeleteContainer, jute.DeleteContainerRequest{Path: "/none"}, jute.Unimplemented},
		{jute.OpCreate, jute.CreateRequest{Path: "/after", ACL: jute.OpenACL()}, jute.Ok},
	} {
		var frame jute.Encoder
		jute.RequestHeader{Xid: int32(xid), Type: request.op}.Encode(&frame)
		request.body.Encode(&frame)
		wire.Write(frame.Bytes())
		reply := wire.Read()
		require.NotNil(t, reply, "%s: the server has closed the connection", request.op)
		var header jute.ReplyHeader
		header.Decode(jute.NewDecoder(reply))
		require.Equal(t, int32(xid), header.Xid)
		require.Equal(t, request.want, header.Err, "%s", request.op)
	}
}
