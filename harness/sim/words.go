package sim

import (
	"fmt"

	"ordeal/node/jute"
	"ordeal/node/zab"
	"ordeal/results/history"
)

// zxidWord is a zxid as people read it: epoch and counter.
func zxidWord(zxid int64) string {
	if zxid < 0 {
		return fmt.Sprint(zxid)
	}
	return fmt.Sprintf("<%d,%d>", zab.Epoch(zxid), zab.Counter(zxid))
}

// packetWord is a packet as people read it.
func packetWord(packet *jute.QuorumPacket) string {
	word := jute.PacketName(packet.Type)
	switch packet.Type {
	case jute.PacketProposal, jute.PacketInform:
		word += " " + zxidWord(packet.Zxid)
		if header, txn, _, err := jute.DecodePayload(packet.Data); err == nil {
			word += fmt.Sprintf(": %v by session 0x%x", header.Type, uint64(header.ClientID))
			if create, is := txn.(*jute.CreateTxn); is {
				word += " " + create.Path
			}
			if set, is := txn.(*jute.SetDataTxn); is {
				word += " " + set.Path
			}
		}
	case jute.PacketRequest, jute.PacketSync, jute.PacketRevalidate, jute.PacketUpToDate:
	default:
		word += " " + zxidWord(packet.Zxid)
	}
	return word
}

// requestWord and resultWord are an operation as people read it.
func requestWord(r *history.Request) string {
	word := string(r.Kind)
	if r.Path != "" {
		word += " " + r.Path
	}
	if r.Value != "" {
		word += fmt.Sprintf(" = %q", r.Value)
	}
	if r.Watch {
		word += ", watching"
	}
	for i := range r.Parts {
		word += " | " + requestWord(&r.Parts[i])
	}
	return word
}

func resultWord(r *history.Result) string {
	if r == nil {
		return "nothing"
	}
	word := string(r.Outcome)
	if r.Error != "" {
		word += " " + r.Error
	}
	if r.Path != "" {
		word += " " + r.Path
	}
	if r.Value != "" {
		word += fmt.Sprintf(" %q", r.Value)
	}
	if r.Answered {
		word += " as of " + zxidWord(r.Zxid)
	}
	return word
}

func packetName(packet int) string { return jute.PacketName(int32(packet)) }
