// Command referrers_registry is an OCI registry in memory that has the referrers API, which Debian's registry and
// Gitea lack. It listens on a loopback port and keeps nothing.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "host and port to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, registry.New(registry.WithReferrersSupport(true))))
}
