//go:build integration

package pipeline

import (
	"testing"

	"ordeal/node/internal/duel"
)

// These tests compare the standalone chain by itself with Apache ZooKeeper. The whole server is compared in
// node/server.

func newDuel(t *testing.T) *duel.Duel {
	apache := duel.StartApache(t)
	return duel.New(t, duel.TCP(t, apache.Address), dialWorld(newWorld(t, extended)))
}

func TestIntegrationScriptAgainstApache(t *testing.T) { newDuel(t).Script() }

func TestIntegrationStreamAgainstApache(t *testing.T) { newDuel(t).Stream(1, 1000, 3000) }
