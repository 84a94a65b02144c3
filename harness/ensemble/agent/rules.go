package agent

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ordeal/results/history"
)

// Rules is the whole state of a namespace's packet filter. Applying rules replaces all earlier ones.
type Rules struct {
	// From are the peers from whom nothing arrives.
	From []Source `json:"from,omitempty"`
	// Clients cuts the client port off from everyone but this namespace, in both directions: what a
	// client is owed does not leave either. Empty for no cut.
	Clients history.CutMode `json:"clients,omitempty"`
}

// Source is a peer whose packets are stopped on arrival.
type Source struct {
	Address netip.Addr      `json:"address"`
	Mode    history.CutMode `json:"mode"`
}

// tableName is the table that belongs to the agent alone: Docker keeps rules of its own in the
// namespace, for its name server.
const tableName = "ordeal"

// Offsets in IPv4 and TCP headers, in bytes.
const (
	sourceAddressOffset   = 12
	sourcePortOffset      = 0
	destinationPortOffset = 2
	tcpFlagsOffset        = 13
	tcpFlagReset          = 0x04
)

// Apply makes these rules the only ones, in one transaction: there is no moment between the old and
// the new. It needs CAP_NET_ADMIN in the namespace.
func (r Rules) Apply() error {
	connection, err := nftables.New()
	if err != nil {
		return fmt.Errorf("agent: open netlink: %w", err)
	}
	table := &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}
	// A table is deleted only if it is there: adding it first makes sure of that.
	connection.AddTable(table)
	connection.DelTable(table)
	connection.AddTable(table)
	into := func(name string, hook *nftables.ChainHook) func(...[]expr.Any) {
		chain := connection.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter,
		})
		return func(parts ...[]expr.Any) {
			connection.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: slices.Concat(parts...)})
		}
	}
	arriving, leaving := into("arriving", nftables.ChainHookInput), into("leaving", nftables.ChainHookOutput)
	for _, source := range r.From {
		if !source.Address.Is4() {
			return fmt.Errorf("agent: %v is not an IPv4 address", source.Address)
		}
		stop(arriving, source.Mode, fromAddress(source.Address))
	}
	if r.Clients != "" {
		stop(arriving, r.Clients, notLoopback(expr.MetaKeyIIFNAME), port(ClientPort, destinationPortOffset))
		stop(leaving, r.Clients, notLoopback(expr.MetaKeyOIFNAME), port(ClientPort, sourcePortOffset))
	}
	if err := connection.Flush(); err != nil {
		return fmt.Errorf("agent: apply nftables rules (NET_ADMIN is needed): %w", err)
	}
	return nil
}

// stop adds the rules that end packets which match. A reset lets resets pass: those of the other side, so
// that the connections on this side end too as soon as they send, and those that a rule itself sends
// out, which would otherwise be taken for traffic.
func stop(add func(...[]expr.Any), mode history.CutMode, match ...[]expr.Any) {
	with := func(more ...[]expr.Any) [][]expr.Any { return append(append([][]expr.Any{}, match...), more...) }
	if mode == history.Reset {
		add(with(isTCP(), isReset(), verdict(expr.VerdictAccept))...)
		add(with(isTCP(), rejectWithReset())...)
	}
	add(with(verdict(expr.VerdictDrop))...)
}

func fromAddress(address netip.Addr) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: sourceAddressOffset, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: address.AsSlice()},
	}
}

func notLoopback(side expr.MetaKey) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, "lo")
	return []expr.Any{
		&expr.Meta{Key: side, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: name},
	}
}

func port(number uint16, offset uint32) []expr.Any {
	return append(isTCP(),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(number)},
	)
}

func isTCP() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
	}
}

func isReset() []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{tcpFlagReset}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0}},
	}
}

func rejectWithReset() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }
