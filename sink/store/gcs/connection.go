package gcs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/compute/metadata"
)

// An error of a request that got no response of the service is in this file. Its text
// comes from this package and from Go's, and not from the other side. Addresses of hosts
// are printed, but URLs are not: they can authorize an upload or have a password of a
// proxy.

// fault is why a request got no response, and what to do.
type fault struct{ what, do string }

func (f *fault) Error() string { return f.what }

func faultf(do, format string, args ...any) *fault { return &fault{fmt.Sprintf(format, args...), do} }

// faultOf returns what went wrong before the service could respond, or nil if err is an
// error of another origin.
func faultOf(err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	if f := tokenFault(err); f != nil {
		return f
	}
	if f := tlsFault(err); f != nil {
		return f
	}
	if f := networkFault(err, "check endpoint, and the DNS settings of this machine",
		"check that the address is correct (endpoint, STORAGE_EMULATOR_HOST), and the firewall"); f != nil {
		return f
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return faultf("check the network, or raise timeout", "the service did not answer")
	}
	if isMalformed(err) { // err quotes the response
		return faultf("check endpoint and the proxy", "the response is not one of Cloud Storage, or is incomplete")
	}
	e, ok := errors.AsType[*url.Error](err)
	if !ok {
		return nil
	}
	if status := proxyStatus(e.Err); status != 0 {
		return faultf(checkProxy, "the proxy refused the connection: %d %s", status, http.StatusText(status))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return faultf(checkNetwork, "the connection was closed without a complete response")
	}
	return faultf("check the network and the credentials", "the request got no answer")
}

const (
	checkNetwork = "check the network, and run the command again"
	checkProxy   = "check the variables HTTPS_PROXY and NO_PROXY, and the proxy itself"
)

const firewall = "check the network, the firewall and the variable HTTPS_PROXY"

// networkFault returns why there is no connection, or nil. checkName and checkAddress are
// what to do if the name or the address of the other side may be wrong.
func networkFault(err error, checkName, checkAddress string) *fault {
	op, isOp := errors.AsType[*net.OpError](err)
	if isOp && op.Op == "proxyconnect" {
		return faultf(checkProxy, "the proxy cannot be reached: %v", op.Err)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsNotFound {
			return faultf(checkName, "the host name %q does not exist", e.Name)
		}
		return faultf(checkName, "the host name %q cannot be resolved, because the name server does not answer", e.Name)
	}
	if !isOp {
		return nil
	}
	to := ""
	if op.Addr != nil {
		to = " to " + op.Addr.String()
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return faultf(checkAddress, "the connection%s was refused", to)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return faultf(checkNetwork, "the connection%s was closed by the other side", to)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return faultf(firewall, "there is no route%s", to)
	case op.Timeout():
		return faultf(firewall, "the connection%s timed out", to)
	}
	return faultf(checkNetwork, "the connection failed: %v", op)
}

func tlsFault(err error) *fault {
	const authority = "if a proxy inspects the traffic, add its certificate to those that this machine trusts (SSL_CERT_FILE)"
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return faultf(authority, "the certificate of the service is not trusted: %v", e)
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return faultf("check endpoint and the proxy", "the certificate of the service is for another host: %v", e)
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		do := authority
		if e.Reason == x509.Expired {
			do = "check the clock of this machine"
		}
		return faultf(do, "the certificate of the service is not valid: %v", e)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return faultf("check endpoint, which may need http:// for an emulator, and the proxy", "the other side does not use TLS")
	}
	if e, ok := errors.AsType[tls.AlertError](err); ok {
		return faultf("check endpoint and the proxy", "the other side refused TLS: %v", e)
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return faultf(authority, "the certificate of the service is not trusted: %v", e)
	}
	return nil
}

// proxyStatus returns the status with which a proxy refused a connection. The error of
// package net/http is only the text of the status.
func proxyStatus(err error) int {
	for status := 400; err != nil && status < 600; status++ {
		if text := http.StatusText(status); text != "" && err.Error() == text {
			return status
		}
	}
	return 0
}

// tokenFault describes an error of the service that issues access tokens.
func tokenFault(err error) *fault {
	if by, status, body := issuerResponse(err); status != 0 {
		return tokenRefusal(by, status, body)
	}
	if e, ok := errors.AsType[*metadata.Error](err); ok {
		return metadataFault(e.Code)
	}
	if _, ok := errors.AsType[metadata.NotDefinedError](err); ok {
		return metadataFault(http.StatusNotFound)
	}
	// The request for a token is made within another one.
	if e, ok := errors.AsType[*url.Error](err); ok {
		if e, ok := errors.AsType[*url.Error](e.Err); ok {
			if f := networkFault(e, "check the DNS settings of this machine", firewall); f != nil {
				return faultf(f.do, "no access token: %s", f.what)
			}
		}
	}
	return nil
}

// issuerResponse returns the response of the service that issues access tokens, and the
// part of the client library that got it. The status is 0 if err has no such response.
func issuerResponse(err error) (by string, status int, body []byte) {
	if e, ok := errors.AsType[*auth.Error](err); ok {
		if e.Response != nil {
			status = e.Response.StatusCode
		}
		return "", status, e.Body
	}
	if m := exchange.FindStringSubmatch(err.Error()); m != nil {
		status, _ = strconv.Atoi(m[2])
		return m[1], status, []byte(m[3])
	}
	return "", 0, nil
}

// issuerIsBusy reports whether the service that issues access tokens may issue one to
// another attempt. The client library makes only one.
func issuerIsBusy(err error) bool {
	_, status, _ := issuerResponse(err)
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// exchange matches the errors with which cloud.google.com/go/auth/credentials reports a
// response of the Service Account Credentials API or of the Security Token Service. They
// have no type.
var exchange = regexp.MustCompile(`(?s)(impersonate|credentials): status code (\d{3}): (.*)$`)

func tokenRefusal(by string, status int, body []byte) *fault {
	r := newRefusal(status, reasonsIn(body), string(body))
	what := fmt.Sprintf("no access token: the service that issues it returned %v", r)
	if by == "impersonate" || byCredentialsAPI(body) {
		return &fault{what, "check impersonate_service_account, and let the credentials impersonate it (" +
			"gcloud iam service-accounts add-iam-policy-binding SERVICE_ACCOUNT --member=MEMBER --role=roles/iam.serviceAccountTokenCreator)"}
	}
	if r.advice == nil || status == http.StatusForbidden || status == http.StatusNotFound {
		return &fault{what, find("invalid_client").do}
	}
	return &fault{what + ": " + r.advice.means, r.advice.do}
}

// byCredentialsAPI reports whether the body is of the Service Account Credentials API,
// through which a file of credentials impersonates a service account.
func byCredentialsAPI(body []byte) bool {
	var e struct {
		Error struct {
			Details []struct{ Metadata struct{ Permission string } }
		}
	}
	_ = json.Unmarshal(body, &e)
	for _, detail := range e.Error.Details {
		if strings.HasPrefix(detail.Metadata.Permission, "iam.serviceAccounts.") {
			return true
		}
	}
	return false
}

func metadataFault(status int) *fault {
	return faultf("attach a service account to the machine (gcloud compute instances set-service-account VM --service-account=SERVICE_ACCOUNT "+
		"--scopes=cloud-platform), or set credentials", "no access token: the metadata server of this machine returned %d %s", status, http.StatusText(status))
}
