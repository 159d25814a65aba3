// A mapping file with each key in use, and addresses written in more than one way.
export const EXAMPLE = `{
	"de:ad:be:ef:00:00": {
		"arp": "10.55.55.2",
		"ip": "10.88.88.69",
		"ndp": "fe80::3",
		"port": 4789
	},
	"DE:AD:BE:EF:0:1": {
		"arp": "10.55.55.3",
		"dhcp-proxy": "de:ad:be:ef:00:00",
		"ip": "::ffff:10.88.88.70",
		"ndp": "fe80::4",
		"port": 4790
	},
	"de:ad:be:ef:00:02": {
		"ip": "2001:db8:0::71",
		"comment": ["reserved", { "for": null }]
	}
}
`;
