package jute

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Apache logs a part of a failed multi now and then with the type of an error and the bytes of the
// operation that it was.
func TestErrorPartOfMultiMayCarryTheBytesOfItsOperation(t *testing.T) {
	var e Encoder
	e.Int(1)
	e.Int(int32(OpError))
	e.Buffer(Marshal(&SetDataTxn{Path: "/a", Data: []byte("value"), Version: 3}))
	var txn MultiTxn
	require.NoError(t, Unmarshal(e.Bytes(), &txn))
	require.Equal(t, OpError, txn.Txns[0].Type)
}
