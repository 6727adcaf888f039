package audit

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Syslog is where a syslog sink sends to. Network and Address are required.
type Syslog struct {
	Network  string         // udp, tcp, tls, or unix for a local socket
	Address  string         // HOST:PORT, of a local socket its path
	Roots    *x509.CertPool // of the server's certificate; nil takes the system's
	Hostname string         // of this machine, as the messages have it; empty is not told
	// Tell is called with what went wrong when the server cannot be reached, or goes away, and with nil when it is there. If nil,
	// nobody is told.
	Tell func(error)
}

const (
	// facility is local0 (RFC 5424, section 6.2.1): what servers keep free for the applications of a site.
	facility = 16 << 3
	notice   = 5 // a significant condition, of what was refused or cut
	informal = 6

	// maxDatagram is how long a message is at most that travels in one datagram: RFC 5426 asks receivers for 2 KiB, and common
	// ones take 8 KiB unless they are told otherwise.
	maxDatagram = 8 << 10
	// maxShort is about how long a text is at most where the message would else not fit, and maxShortList how many a list has.
	maxShort, maxShortList = 160, 4

	// The pause between two tries to reach the server grows from the first to the second; a connection that lasts at least as
	// long as the second ends that. The third bounds each try, and each write.
	minPause, maxPause, syslogTimeout = 250 * time.Millisecond, 30 * time.Second, 10 * time.Second
)

// SyslogSink sends each record as a message of RFC 5424 with the JSON line of [NewLogSink] as its MSG: over UDP one a datagram
// (RFC 5426), over TCP and TLS with octet counting (RFC 6587, RFC 5425), to a local socket as datagrams, or in lines if it is a
// stream. The server's certificate is verified for its name. Severity is notice for what was refused or cut and for
// turns of the clock, else informational; MSGID is refused, start, end or clock. Where a message is too long for a datagram its texts are cut, and end
// with " [cut]"; it still is JSON.
//
// Write waits until there is a server that takes the messages. What was under way when a connection broke is lost if it was
// whole: no syslog server acknowledges anything.
type SyslogSink struct {
	c       Syslog
	encoder Encoder
	prefix  string // of the header, from HOSTNAME to PROCID
	frame   func(to, message []byte) []byte

	conn    net.Conn // nil: not connected
	since   time.Time
	pause   time.Duration
	failed  bool
	buffer  []byte
	message []byte
	ends    []int // where each message of the buffer ends

	closed context.Context //nolint:containedctx // it is the sink's own life, and bounds what its connections do
	close  context.CancelFunc
	mu     sync.Mutex // orders the start of a drain before Close waits for them
	drains sync.WaitGroup
}

// NewSyslogSink returns a sink for a server, which need not be there yet. The fields always are in every line.
func NewSyslogSink(c Syslog, always ...zap.Field) *SyslogSink {
	s := &SyslogSink{c: c, encoder: NewEncoder(always...)}
	s.prefix = fmt.Sprintf(" %s gracegate %d ", syslogName(c.Hostname), os.Getpid())
	if s.c.Tell == nil {
		s.c.Tell = func(error) {}
	}
	s.closed, s.close = context.WithCancel(context.Background())
	return s
}

// syslogName is a name as HOSTNAME, of at most 255 printable characters without blanks, and "-" if there is none.
func syslogName(name string) string {
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "-"
	}
	return name
}

// Write sends the records, one message each.
func (s *SyslogSink) Write(records []*Record) (written int, err error) {
	for written < len(records) {
		if err := s.connect(); err != nil {
			return written, err
		}
		n, err := s.send(records[written:])
		written += n
		if err != nil {
			s.disconnect(err)
		} else {
			s.tell(nil)
		}
	}
	return written, nil
}

// Close ends the connection, and a Write that waits for one.
func (s *SyslogSink) Close() error {
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	s.drains.Wait()
	return nil
}

// connect waits for a connection. Its only error is that the sink is closed.
func (s *SyslogSink) connect() error {
	for s.conn == nil {
		if wait := time.Until(s.since.Add(s.pause)); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-s.closed.Done():
				timer.Stop()
			}
		}
		if s.closed.Err() != nil {
			return errors.New("the syslog server was not reached before the end")
		}
		s.since = time.Now()
		conn, err := s.dial()
		if err != nil {
			s.disconnect(err)
			continue
		}
		s.conn = conn
	}
	return nil
}

func (s *SyslogSink) dial() (conn net.Conn, err error) {
	ctx, cancel := context.WithTimeout(s.closed, syslogTimeout)
	defer cancel()
	dialer := &net.Dialer{}
	s.frame = octetCounted
	switch s.c.Network {
	case "unix":
		s.frame = bare
		if conn, err = dialer.DialContext(ctx, "unixgram", s.c.Address); err != nil {
			s.frame = lineFeed
			conn, err = dialer.DialContext(ctx, "unix", s.c.Address)
		}
	case "udp":
		s.frame = bare
		conn, err = dialer.DialContext(ctx, "udp", s.c.Address)
	case "tls":
		secure := &tls.Dialer{NetDialer: dialer, Config: &tls.Config{RootCAs: s.c.Roots, MinVersion: tls.VersionTLS12}}
		conn, err = secure.DialContext(ctx, "tcp", s.c.Address)
	default:
		conn, err = dialer.DialContext(ctx, s.c.Network, s.c.Address)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.closed.Err(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.drains.Go(func() { s.drain(conn) })
	return conn, nil
}

// drain reads what no syslog server sends, so that the connection is closed as soon as the server closes it, and what is sent
// then is not lost in it. It ends with the connection, and ends that with the sink.
func (s *SyslogSink) drain(conn net.Conn) {
	stop := context.AfterFunc(s.closed, func() { _ = conn.Close() })
	defer stop()
	_, _ = io.Copy(io.Discard, bufio.NewReader(conn))
	_ = conn.Close()
}

// disconnect gives up the connection, if there is one, and lets the next try wait. The first failure in a row is told.
func (s *SyslogSink) disconnect(err error) {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
	if s.pause = min(max(2*s.pause, minPause), maxPause); time.Since(s.since) >= maxPause {
		s.pause = 0
	}
	if errors.Is(err, net.ErrClosed) {
		err = errors.New("the server closed the connection")
	}
	if s.closed.Err() == nil {
		s.tell(err)
	}
}

func (s *SyslogSink) tell(err error) {
	if s.failed != (err != nil) {
		s.failed = err != nil
		s.c.Tell(err)
	}
}

// send sends messages, as many in one write as a stream takes, and tells of how many records they were.
func (s *SyslogSink) send(records []*Record) (sent int, err error) {
	if err := s.conn.SetWriteDeadline(time.Now().Add(syslogTimeout)); err != nil {
		return 0, err
	}
	datagrams := isDatagram(s.conn)
	s.buffer, s.ends = s.buffer[:0], s.ends[:0]
	for _, r := range records {
		s.message = s.appendMessage(s.message[:0], r, datagrams)
		s.buffer = s.frame(s.buffer, s.message)
		s.ends = append(s.ends, len(s.buffer))
		if datagrams || len(s.buffer) >= maxWrite {
			break
		}
	}
	n, err := s.conn.Write(s.buffer)
	for sent < len(s.ends) && s.ends[sent] <= n {
		sent++
	}
	return sent, err
}

func isDatagram(conn net.Conn) bool {
	_, is := conn.(net.PacketConn)
	if unix, local := conn.(*net.UnixConn); local {
		is = unix.RemoteAddr().Network() == "unixgram"
	}
	return is
}

// appendMessage appends the message of a record.
func (s *SyslogSink) appendMessage(to []byte, r *Record, datagram bool) []byte {
	start := len(to)
	severity := informal
	if denied(r) || r.Turn != nil {
		severity = notice
	}
	to = fmt.Appendf(to, "<%d>1 ", facility|severity)
	if r.Time.IsZero() {
		to = append(to, '-')
	} else {
		to = r.Time.UTC().AppendFormat(to, "2006-01-02T15:04:05.999999Z07:00") // RFC 5424 has microseconds at most
	}
	to = append(to, s.prefix...)
	to = append(to, r.Event.String()...)
	to = append(to, " - "...) // no STRUCTURED-DATA
	header := len(to)
	to = s.encoder.Append(to, r)
	if datagram && len(to)-start > maxDatagram {
		to = s.encoder.Append(to[:header], shortened(r))
	}
	return to[:len(to)-1] // without its line feed
}

// shortened is a record whose line has less than maxDatagram bytes: each text that can be long is cut.
func shortened(r *Record) *Record {
	short := *r
	for _, text := range []*string{
		&short.Reference, &short.Kind, &short.User, &short.MAC, &short.Hostname, &short.Site, &short.Method, &short.Scheme, &short.URL, &short.Path, &short.ALPN,
		&short.Vendor, &short.Cause.Kind, &short.Cause.ID, &short.Cause.Title, &short.Cause.URL, &short.Revision, &short.Guard, &short.Ended,
	} {
		*text = cutText(*text, maxShort)
	}
	short.Persons, short.Reasons = shortList(r.Persons), shortList(r.Reasons)
	return &short
}

func shortList(list []string) (short []string) {
	for _, text := range list[:min(len(list), maxShortList)] {
		short = append(short, cutText(text, maxShort))
	}
	if len(list) > maxShortList {
		short = append(short, strings.TrimSpace(cutMark))
	}
	return short
}

func bare(to, message []byte) []byte { return append(to, message...) }

func lineFeed(to, message []byte) []byte { return append(append(to, message...), '\n') }

// octetCounted is the framing of RFC 5425, section 4.3, and RFC 6587, section 3.4.1.
func octetCounted(to, message []byte) []byte {
	return append(fmt.Appendf(to, "%d ", len(message)), message...)
}
