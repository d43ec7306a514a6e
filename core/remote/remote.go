// Package remote is the client with which proxy repositories talk to their upstream servers.
//
// A Client belongs to one upstream: it joins paths to its URL, makes the server known to it, follows redirects without taking
// credentials along, tries again, and remembers how the upstream does, so that one that is down is left alone for a while. What all
// clients of a server have in common, the outbound proxy, trusted certificates and the addresses that must not be connected to, is a
// Network.
package remote
