// Package export writes what a policy blocks by name, for one client at one instant, in the formats of other programs: DNS
// filters, a hosts file, Squid, nftables.
//
// [List] asks the policy about every name that it lists; the writers put the answers into a format. What a format cannot
// express is counted and told in comments, never silently rounded: a path, a port, a client of its own, or a zone
// where the format knows hosts only. The package reads no clock and no file.
package export
