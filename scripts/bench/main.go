// Command bench measures repomgr beside Debian's docker-registry and nginx: on one machine, in one run, in turn. It prints the
// figures, their ratios and the bars that repomgr has set itself. docs/performance.md tells what it measures and how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	o, err := parseFlags(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err == nil:
		// Interrupts stay caught: what was started is stopped and removed, however often somebody is impatient.
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		err = run(ctx, o)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 3, "`number` of rounds; figures are their medians")
	flags.DurationVar(&o.time, "time", 3*time.Second, "`time` for a scenario, a server and a round")
	only := flags.String("only", "", "only scenarios whose name matches the `regexp`")
	flags.StringVar(&o.json, "json", "", "write all samples to the `file`")
	flags.StringVar(&o.parent, "dir", os.TempDir(), "existing `directory` on the disk that is measured; needs 10 GB, and is left as it was")
	flags.StringVar(&o.repomgr, "repomgr", "bin/repomgr", "the `program` that is measured")
	flags.BoolVar(&o.alone, "alone", false, "measure repomgr without the others, so without ratios")
	flags.BoolVar(&o.list, "list", false, "list the scenarios and end")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.time < 100*time.Millisecond || o.time > time.Minute {
		return o, errors.New("-rounds is at least 1, -time is from 100ms to 1m, and there are no further arguments")
	}
	return o, nil
}

// neededSpace is what a run may take on the disk at its most: 64 pushes of 100 MB, and the servers' data.
const neededSpace = 10e9

func run(ctx context.Context, o options) (err error) {
	b := &bench{options: o, say: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format, args...) }}
	if b.contents, err = newContents(); err != nil {
		return err
	}
	if o.list {
		for _, s := range b.scenarios() {
			fmt.Println(s.name)
		}
		return nil
	}
	if b.dir, err = os.MkdirTemp(o.parent, "repomgr-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.checkDisk(); err != nil {
		return err
	}
	defer b.stop()
	if err := b.start(ctx); err != nil {
		return err
	}
	results, err := b.measure(ctx)
	if len(results) > 0 {
		fmt.Println(claimTable(lines(results)))
		fmt.Println(costTable(results))
		fmt.Println(peaks(results))
	}
	if o.json != "" {
		err = errors.Join(err, writeJSON(o.json, o, results))
	}
	return errors.Join(err, failures(results))
}

func (b *bench) checkDisk() error {
	real, err1 := onDisk(b.dir)
	free, err2 := space(b.dir)
	switch err := errors.Join(err1, err2); {
	case err != nil:
		return err
	case !real:
		return fmt.Errorf("%s is in memory, where fsync costs nothing: name a directory on a disk with -dir", b.dir)
	case free < neededSpace:
		return fmt.Errorf("%s has %s MB free, and %s MB are needed: name another directory with -dir", b.dir, figure(float64(free)/1e6), figure(neededSpace/1e6))
	}
	return nil
}
