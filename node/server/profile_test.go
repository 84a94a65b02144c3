package server

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryTwoSignalsWriteAProfile(t *testing.T) {
	name := ProfileName(t.TempDir(), 3)
	ctx, cancel := context.WithCancel(t.Context())
	signals, ended := make(chan os.Signal), make(chan struct{})
	go func() {
		defer close(ended)
		profileOn(ctx, signals, name, slog.New(slog.DiscardHandler))
	}()
	signals <- ProfileSignal
	for range 2 {
		require.NoFileExists(t, name)
		signals <- ProfileSignal
		signals <- ProfileSignal // which begins another one, and is taken only once the one before is whole
		file, err := os.Open(name)
		require.NoError(t, err)
		unpacked, err := gzip.NewReader(file)
		require.NoError(t, err)
		content, err := io.ReadAll(unpacked)
		require.NoError(t, err)
		require.Contains(t, string(content), "cpu")
		require.NoError(t, file.Close())
		require.NoError(t, os.Remove(name))
	}
	cancel()
	<-ended
}

func TestAServerGoesOnWithoutAProfileThatCannotBeWritten(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	signals, ended := make(chan os.Signal), make(chan struct{})
	go func() {
		defer close(ended)
		profileOn(ctx, signals, ProfileName(t.TempDir()+"/missing", 3), slog.New(slog.DiscardHandler))
	}()
	for range 4 {
		signals <- ProfileSignal
	}
	cancel()
	<-ended
}
