package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshwright/meshwright/node"
)

const serverLong = `Run one Meshwright node: REST for intents, xDS for the member clusters' istiods.

Each setting is a flag, an environment variable (named in brackets) or a key of the YAML file that --config names, spelled
like the flag:

  data-dir: /var/lib/meshwright
  rest-addr: 127.0.0.1:9018

The flag wins over the environment, the environment over the file. SIGTERM and SIGINT stop the node gracefully; a second
one kills it.`

// newServer is `meshwright server`.
func newServer(env lookupEnv) *cobra.Command {
	cfg := node.DefaultConfig()
	var file string
	flags := serverFlags(&cfg)
	fileFlag := pflag.NewFlagSet("file", pflag.ContinueOnError)
	fileFlag.StringVar(&file, "config", "", "YAML file of settings, with the names of these flags as its keys")
	nameEnv(fileFlag)
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a node",
		Long:  serverLong,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := readServerConfig(flags, fileFlag, env, &file); err != nil {
				return err
			}
			if err := cfg.Validate(); err != nil {
				return &usageError{err}
			}
			cfg.LogOutput = cmd.OutOrStdout()
			return node.Run(cmd.Context(), cfg)
		},
	}
	cmd.Flags().AddFlagSet(flags)
	cmd.Flags().AddFlagSet(fileFlag)
	return cmd
}

// readServerConfig fills in the flags that the command line left out: where
// the file is first, then the rest from the environment and the file.
func readServerConfig(flags, fileFlag *pflag.FlagSet, env lookupEnv, file *string) error {
	if err := fillFlags(fileFlag, env, settingsFile{}); err != nil {
		return err
	}
	var settings settingsFile
	if *file != "" {
		var err error
		if settings, err = readSettings(*file, flags); err != nil {
			return err
		}
	}
	return fillFlags(flags, env, settings)
}

// serverFlags makes a flag of each setting of a node, with the value that is
// there as its default.
func serverFlags(c *node.Config) *pflag.FlagSet {
	flags := pflag.NewFlagSet("server", pflag.ContinueOnError)
	for _, s := range []struct {
		name  string
		value *string
		usage string
	}{
		{"data-dir", &c.DataDir, "directory of the replicated log and its snapshots"},
		{"rest-addr", &c.RESTAddr, "address of the REST API"},
		{"rest-cert", &c.RESTCert, "PEM certificate file: the REST API speaks https"},
		{"rest-key", &c.RESTKey, "PEM key file of --rest-cert"},
		{"rest-client-ca", &c.RESTClientCA, "PEM file of the authority whose certificates REST clients must present"},
		{"xds-addr", &c.XDSAddr, "addresses for istiods without TLS, apart by commas"},
		{"xds-tls-addr", &c.XDSTLSAddr, "address for istiods over TLS; opened with --xds-cert alone"},
		{"xds-cert", &c.XDSCert, "PEM certificate file of --xds-tls-addr; read anew when it changes"},
		{"xds-key", &c.XDSKey, "PEM key file of --xds-cert"},
		{"xds-client-ca", &c.XDSClientCA, "PEM file of the authority whose certificates istiods must present"},
		{"raft-addr", &c.RaftAddr, "address for the other replicas"},
		{"default-cluster", &c.DefaultCluster, "PROVIDER/CLUSTER that a connection belongs to when its host name tells no other"},
		{"host-suffix", &c.HostSuffix, "suffix of the global names that inbound services get when they ask for none"},
		{"vip-v4", &c.VIPv4, "IPv4 range of the virtual addresses of global names"},
		{"vip-v6", &c.VIPv6, "IPv6 range of the virtual addresses of global names"},
		{"log-level", &c.LogLevel, "least level of events to log: debug, info, warn or error"},
		{"otlp-endpoint", &c.OTLPEndpoint, "URL of an OTLP/gRPC collector to send traces to; empty sends none"},
	} {
		flags.StringVar(s.value, s.name, *s.value, s.usage)
	}
	flags.BoolVar(&c.Insecure, "insecure", c.Insecure, "allow addresses other than loopback without TLS and authentication")
	nameEnv(flags)
	return flags
}
