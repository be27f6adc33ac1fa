package intent

import (
	"net/netip"
	"slices"
)

// allotVIPs frees the addresses of hosts that nobody claims any more, then
// gives each new host its own. An error comes with the inbound it left without.
func (d *draft) allotVIPs(inbounds drawn) (Path, error) {
	for _, host := range d.lostHosts(inbounds) {
		vip, ok := d.vips().Delete(host)
		if !ok {
			continue
		}
		for _, key := range vip.keys(host) {
			d.index().Delete(key)
		}
	}
	for _, p := range sortedKeys(inbounds) {
		host := d.next.Host(d.next.Get(Path(p)))
		if _, ok := d.next.vips.Get(host); ok {
			continue
		}
		vip, err := d.freeVIP()
		if err != nil {
			return Path(p), err
		}
		d.vips().Set(host, vip)
		for _, key := range vip.keys(host) {
			d.index().Set(key, Path(host))
		}
	}
	return "", nil
}

// lostHosts lists, in order, the hosts that changed inbounds had and no
// inbound has now.
func (d *draft) lostHosts(inbounds drawn) []string {
	lost := map[string]bool{}
	check := func(p Path) {
		if old := d.base.Get(p); old != nil && p.Kind() == KindInbound {
			lost[d.base.Host(old)] = true
		}
	}
	for p := range inbounds {
		check(p)
	}
	for _, p := range d.touched {
		check(p)
	}
	return slices.DeleteFunc(sortedKeys(lost), func(host string) bool { return d.next.has(byHost, host) })
}

// freeVIP takes the next address pair that no host has either of, going round
// the range so that a freed one rests as long as can be.
func (d *draft) freeVIP() (VIP, error) {
	settings := d.next.settings
	bits := min(settings.VIPv4.Addr().BitLen()-settings.VIPv4.Bits(), 24)
	size := uint32(1) << bits
	tries := size
	if d.next.vips.Len() >= int(size) { // surely full: don't look at each
		tries = 0
	}
	for range tries {
		offset := d.next.nextVIP % size
		d.next.nextVIP = (offset + 1) % size
		if offset == 0 || offset == size-1 { // network and broadcast address
			continue
		}
		vip := VIP{V4: addrAt(settings.VIPv4, offset), V6: addrAt(settings.VIPv6, offset)}
		if !d.next.has(byVIP, vip.V4.String()) && !d.next.has(byVIP, vip.V6.String()) {
			return vip, nil
		}
	}
	return VIP{}, Errorf(Conflict, "no virtual address is left in %s: delete inbound intents, or give the store a larger range", settings.VIPv4)
}

// addrAt is the address at an offset into a prefix.
func addrAt(p netip.Prefix, offset uint32) netip.Addr {
	raw := p.Masked().Addr().AsSlice()
	for i := len(raw) - 1; i >= 0 && offset > 0; i-- {
		offset += uint32(raw[i])
		raw[i] = byte(offset)
		offset >>= 8
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}
