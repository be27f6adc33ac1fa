package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.LookupEnv))
}

// run executes one command line and returns its exit code. The first SIGINT or
// SIGTERM ends the command gracefully, a second one kills it.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, env lookupEnv) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from here on a signal does what it does by default

	understood := false
	root := newRoot(env, func() { understood = true })
	root.SetArgs(append([]string{}, args...)) // never nil: cobra would read os.Args
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !understood {
		err = usagef("%w\nSee `meshwright --help`.", err)
	}
	if err != nil {
		fmt.Fprintf(stderr, "meshwright: %v\n", err)
	}
	return exitCode(err)
}

// newRoot builds the command tree. It calls understood once a command line has
// proved legal and its command is about to run.
func newRoot(env lookupEnv, understood func()) *cobra.Command {
	root := &cobra.Command{
		Use:   "meshwright",
		Short: "Say once who may call what; every edge cluster's Istio gets its configuration",
		Long: "Meshwright turns intents (services, who may call them, and how) into Istio configuration for each\n" +
			"member cluster. `meshwright server` runs it; the other commands talk to a running server.\n\n" + exitHelp,
		SilenceUsage:     true,
		SilenceErrors:    true,
		PersistentPreRun: func(*cobra.Command, []string) { understood() },
		Args:             cobra.NoArgs,
		RunE:             showHelp,
	}
	root.AddCommand(newServer(env), newVersion())
	conn := newConnection(env)
	for _, cmd := range []*cobra.Command{newApply(conn), newGet(conn), newDelete(conn), newStatus(conn), newBundle(conn)} {
		cmd.Flags().AddFlagSet(conn.flags)
		cmd.Long += "\n\n" + exitHelp
		root.AddCommand(cmd)
	}
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.RunE = showHelp // without it, cobra takes any shell's name
		}
	}
	return root
}

// showHelp runs a command that without a further one has nothing to do but to
// say what there is.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }
