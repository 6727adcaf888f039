// Package audit records governed flows: one [Record] a refusal, two a tunnel (start and end), one any other flow.
//
// [Recorder] is a bounded queue in front of a [Sink], so that no flow ever waits for a disk; it tells, by
// [Recorder.Failing], when records are being lost or refused, which `audit.on-failure` turns into verdicts.
// [Fan] hands records to several sinks, each behind a recorder of its own.
//
// [NewLogSink] writes one canonical JSON line a record, in the names of the Elastic Common Schema, to standard output or to a
// [File], which is rotated. [SyslogSink] sends the same line to a syslog server. [NewSquidSink] writes Squid's access.log.
//
// The package does not decide which flows are recorded, and keeps nothing after it is written. It
// writes no credentials: user information, query and fragment of a URL are dropped, and a Record has no place for
// headers or cookies.
package audit
