package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"time"
)

// authority is a certificate authority of a run. Its key is ECDSA P-256, as every key here is.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(name string) (*authority, error) {
	a := new(authority)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, key, err := a.sign(template)
	if err != nil {
		return nil, err
	}
	a.key = key
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

// sign makes a key and a certificate for it, signed by the authority, or by that key if the authority has none yet.
func (a *authority) sign(template *x509.Certificate) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	template.BasicConstraintsValid = true
	parent, signer := a.cert, a.key
	if signer == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	return der, key, err
}

// leaf makes a certificate for some names, and returns it with its key as PEM.
func (a *authority) leaf(names ...string) (string, error) {
	der, key, err := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return "", err
	}
	return certAndKey(der, key)
}

// withKey is the authority's certificate and key as PEM, as a peer takes them that is to sign.
func (a *authority) withKey() (string, error) { return certAndKey(a.cert.Raw, a.key) }

func certAndKey(der []byte, key *ecdsa.PrivateKey) (string, error) {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	return certPEM(der) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), err
}

func certPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// pool holds the authority alone.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// wantP256 refuses a server whose key is not of the type that all are to have.
func wantP256(state tls.ConnectionState) error {
	if key, ok := state.PeerCertificates[0].PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return errors.New("the key of the certificate is not ECDSA P-256")
	}
	return nil
}
