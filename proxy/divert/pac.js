// Proxy auto-configuration by gracegate. It offers the way through the gateway; it does not close other ways.
function FindProxyForURL(url, host) {
  // No "; DIRECT" at the end: a client would go around the gateway whenever it could not reach it.
  var proxy = PROXY_HERE;

  host = host.toLowerCase().replace(/^\[|\]$/g, "").replace(/\.$/, "");

  // Addresses are read as text. isInNet and dnsResolve would look up every name first, and leak it to the resolver.
  if (host.indexOf(":") >= 0) {
    // ::1, fe80::/10, fc00::/7
    return /^(::1$|fe[89ab][0-9a-f]:|f[cd][0-9a-f][0-9a-f]:)/.test(host) ? "DIRECT" : proxy;
  }
  if (/^[0-9]+(\.[0-9]+){3}$/.test(host)) {
    // 127/8, 10/8, 169.254/16, 172.16/12, 192.168/16
    return /^(127|10|169\.254|172\.(1[6-9]|2[0-9]|3[01])|192\.168)\./.test(host) ? "DIRECT" : proxy;
  }
  if (isPlainHostName(host)) {
    return "DIRECT";
  }
  var zones = ZONES_HERE;
  for (var i = 0; i < zones.length; i++) {
    if (host === zones[i] || dnsDomainIs(host, "." + zones[i])) {
      return "DIRECT";
    }
  }
  return proxy;
}
