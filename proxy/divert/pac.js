// Proxy auto-configuration by gracegate. It offers the way through the gateway; it does not close other ways.

// No "; DIRECT" at the end: a client would go around the gateway whenever it could not reach it.
var proxy = PROXY_HERE;

// What is reached directly, with all below it.
var local = LOCAL_HERE;

// What goes through the gateway: "example.com" is that name alone, ".example.com" is it and all below it. Null: everything.
var known = KNOWN_HERE;

function FindProxyForURL(url, host) {
  host = host.toLowerCase().replace(/^\[|\]$/g, "").replace(/\.$/, "");
  return isLocal(host) || !isKnown(host) ? "DIRECT" : proxy;
}

function isLocal(host) {
  // Addresses are read as text. isInNet and dnsResolve would look up every name first, and leak it to the resolver.
  if (host.indexOf(":") >= 0) {
    // ::1, fe80::/10, fc00::/7
    return /^(::1$|fe[89ab][0-9a-f]:|f[cd][0-9a-f][0-9a-f]:)/.test(host);
  }
  if (/^[0-9]+(\.[0-9]+){3}$/.test(host)) {
    // 127/8, 10/8, 169.254/16, 172.16/12, 192.168/16
    return /^(127|10|169\.254|172\.(1[6-9]|2[0-9]|3[01])|192\.168)\./.test(host);
  }
  if (isPlainHostName(host)) {
    return true;
  }
  for (var i = 0; i < local.length; i++) {
    if (host === local[i] || dnsDomainIs(host, "." + local[i])) {
      return true;
    }
  }
  return false;
}

function isKnown(host) {
  if (known === null || known[host] === 1) {
    return true;
  }
  var zone = "." + host;
  for (var dot = 0; dot >= 0; dot = zone.indexOf(".", dot + 1)) {
    if (known[zone.substring(dot)] === 1) {
      return true;
    }
  }
  return false;
}
