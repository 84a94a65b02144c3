package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// endings are the signals by which a user, a service manager or the end of a terminal ends the program. The
// last is left alone where it was to be ignored from the start, as nohup wants it.
func endings() []os.Signal {
	heard := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		heard = append(heard, syscall.SIGHUP)
	}
	return heard
}

// interrupts turns the first signal into words and a closed channel, and the second into the end of the
// context; the third ends the program. stop must be called: it waits for the goroutine.
func interrupts(parent context.Context, out io.Writer, words string) (ctx context.Context, interrupt <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals, first, stopped := make(chan os.Signal, 3), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, endings()...)
	answers := []func(){
		func() {
			fmt.Fprintln(out, words)
			close(first)
		},
		func() {
			fmt.Fprintln(out, "interrupted again: cleaning up at once (again to end as it stands)")
			cancel()
		},
		func() { os.Exit(exitFailed) },
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for _, answer := range answers {
			select {
			case <-stopped:
				return
			case <-signals:
				answer()
			}
		}
	})
	return ctx, first, func() {
		signal.Stop(signals)
		close(stopped)
		cancel()
		waiting.Wait()
	}
}

// cancelled is a context that ends with the first signal, after some words. stop must be called.
func cancelled(parent context.Context, out io.Writer, words string) (ctx context.Context, stop func()) {
	ctx, interrupt, stopSignals := interrupts(parent, out, words)
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-interrupt:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel()
		waiting.Wait()
		stopSignals()
	}
}
