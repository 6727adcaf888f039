package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
)

func newReady() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Ask a running gateway whether it is ready; exit 5 if not",
		Args:  noArguments,
	}
	config.AddFlags(cmd.Flags(), config.GroupListen, config.GroupAdmin)
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for an answer")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if timeout <= 0 {
			return invalid(fmt.Errorf("--timeout %s leaves no time for an answer", timeout), "such as 3s")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		if cfg.Listen.Admin == "" {
			return invalid(errors.New("listen.admin is off"), "readiness is asked for on the admin listener")
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		return askReady(ctx, cfg, cmd.OutOrStdout())
	}
	return cmd
}

func askReady(ctx context.Context, cfg *config.Config, out io.Writer) error {
	notReady := func(err error) error {
		return &codedError{err, exitNotReady, "is gracegate serve running with the same listen.admin?"}
	}
	req, err := readinessRequest(ctx, cfg)
	if err != nil {
		return err
	}
	body, status, err := getReadiness(req)
	if err != nil {
		return notReady(err)
	}
	if status != http.StatusOK {
		var why json.RawMessage
		if json.Unmarshal(body, &why) != nil {
			why = []byte(http.StatusText(status))
		}
		return &codedError{fmt.Errorf("not ready: %s", why), exitNotReady, ""}
	}
	_, err = fmt.Fprintln(out, "ready")
	return failed(err, "")
}

// readinessRequest asks the gateway on listen.admin for /readyz.
func readinessRequest(ctx context.Context, cfg *config.Config) (*http.Request, error) {
	host, port, err := net.SplitHostPort(cfg.Listen.Admin)
	if err != nil {
		return nil, invalid(err, "")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return nil, invalid(err, "")
	}
	token, err := cfg.Admin.Token()
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// getReadiness returns what a gateway answers.
func getReadiness(req *http.Request) (body []byte, status int, err error) {
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return body, resp.StatusCode, err
}
