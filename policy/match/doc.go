// Package match turns a host name, a port and a path into a class: a small number that stands for what the catalogue
// says of that endpoint.
//
// [NewNames] indexes the entries of a catalogue, up to millions of names. [NewIndex] lays an operator's own entries
// over it and numbers the classes. [Index.Lookup] finds the class by name and port, [Index.Path] narrows it once the
// path is seen. Apart from that, [NewSelections] indexes the hosts and zones that an operator's rules pick directly.
//
// # The rule
//
// A host entry matches its name only; a zone entry matches its name and every name below it, on label boundaries.
// Candidates are tried by specificity: the exact host, then the longest zone, and so on outward; at each of these
// levels entries with ports and paths, then those with ports, then those with paths, then plain ones. An entry whose
// ports or paths do not fit is skipped and the search goes on. Entries that are equal in all this unite. An address is
// matched by a host entry only.
//
// # What it does not do
//
// The package does not parse host names, knows nothing of vendors, channels, dates and verdicts, and never decides. It
// sees of an entry's meaning only a number that tells equal ones. Nothing changes once it is built: to change a
// catalogue, build anew.
package match
