/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_formats.c -- the forms of other programs: which policy they are, what is refused and where, and
 * how they are told apart.
 */
#include "ctl/policy.h"
#include "tests/unit/rows.h"

#define SRV " IN SRV 0 0 1688 "
#define SRV_WRONG "SRV needs priority, weight and port (0 to 65535), and a target\n"
#define RELATIVE "a relative name, and no $ORIGIN: write $ORIGIN ZONE. in the first line\n"
#define NAME_WRONG "has characters other than a-z 0-9 . _ -\n"
#define P40 "pppppppppppppppppppppppppppppppppppppppp"
#define L60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."

/* "POOL: HOSTS <- SUFFIXES\n" of each rule, then "skipped N"; or "LINE: PROBLEM\n", of a pool without a line. */
static const struct row {
    const char *what, *format, *text, *want;
} rows[] = {
    {"blank lines, comments, and the TTL that nobody uses", "zone",
     "\n \t\r\n  ; text ( \"\n$TTL 1h\n$ttl ;\n;", "skipped 0"},
    {"equal hosts are one pool", "zone",
     "$ORIGIN corp.example.\n@ 2d IN SOA ns1 admin ( 1 ; serial\n  7200 3600 1209600 300 )\n"
     "  IN NS ns1\n_vlmcs._tcp 3600 IN SRV 0 0 1688 kms01.contoso.com.\n"
     "_VLMCS._TCP.b.example. IN SRV 0 0 1688 KMS01.contoso.com.\n"
     "_vlmcs._tcp.c.example." SRV "kms01.contoso.com.\n"
     "_vlmcs._tcp.c.example. 1h IN SRV 10 0 1688 kms02.contoso.com.\n"
     "_vlmcs._tcp.d.example." SRV "kms02.contoso.com.\n_vlmcs._tcp.e.example. IN SRV 0 0 0 .\n"
     "_ldap._tcp IN SRV 0 0 389 dc.corp.example.\n",
     "kms01: kms01.contoso.com:1688 <- b.example corp.example\n"
     "kms01-2: kms01.contoso.com:1688 kms02.contoso.com:1688,priority=10 <- c.example\n"
     "kms02: kms02.contoso.com:1688 <- d.example\nskipped 4"},
    {"a name with a number that is taken", "zone",
     "_vlmcs._tcp.a." SRV "k.a.b.\n_vlmcs._tcp.c." SRV "k.c.d.\n_vlmcs._tcp.e." SRV "k-2.e.f.\n"
     "_vlmcs._tcp.g." SRV "k.g.h.\n",
     "k: k.a.b:1688 <- a\nk-2: k.c.d:1688 <- c\nk-2-2: k-2.e.f:1688 <- e\nk-3: k.g.h:1688 <- g\n"
     "skipped 0"},
    {"such a name that comes first", "zone",
     "_vlmcs._tcp.a." SRV "k.a.b.\n_vlmcs._tcp.c." SRV "k-2.e.f.\n_vlmcs._tcp.e." SRV "k.c.d.\n",
     "k: k.a.b:1688 <- a\nk-2: k-2.e.f:1688 <- c\nk-3: k.c.d:1688 <- e\nskipped 0"},
    {"port, priority and weight tell hosts apart", "zone",
     "_vlmcs._tcp.a. SRV 0 0 1 k.c.d.\n_vlmcs._tcp.b. SRV 1 0 1 k.c.d.\n"
     "_vlmcs._tcp.c. SRV 0 1 1 k.c.d.\n_vlmcs._tcp.d. SRV 0 0 2 k.c.d.\n",
     "k: k.c.d:1 <- a\nk-2: k.c.d:1,priority=1 <- b\nk-3: k.c.d:1,weight=1 <- c\n"
     "k-4: k.c.d:2 <- d\nskipped 0"},
    {"names without a letter, and any", "zone",
     "_vlmcs._tcp.a." SRV "any.c.d.\n_vlmcs._tcp.b." SRV "-x-.c.d.\n_vlmcs._tcp.c." SRV
     "-Az09_-.c.d.\n",
     "kms: any.c.d:1688 <- a\nkms-2: -x-.c.d:1688 <- b\nkms-3: -az09_-.c.d:1688 <- c\nskipped 0"},
    {"a record twice, more suffixes, and the bare name", "zone",
     "_vlmcs._tcp.a." SRV "k.c.d.\n_vlmcs._tcp.A." SRV "K.c.d.\n_vlmcs._tcp." SRV "k.c.d.\n"
     "_vlmcs._tcp.f." SRV "k.c.d.\n_vlmcs._tcp.e." SRV "k.c.d.\n_vlmcs._tcp.b." SRV "k.c.d.",
     "k: k.c.d:1688 <- . a b e f\nskipped 0"},
    {"relative $ORIGIN", "zone",
     "$ORIGIN example. ; here\n$ORIGIN corp\n_vlmcs._tcp" SRV "kms\n@ MX 5 @\n"
     "$ORIGIN b.\n_vlmcs._tcp" SRV "k.c.d.",
     "k: k.c.d:1688 <- b\nkms: kms.corp.example:1688 <- corp.example\nskipped 1"},
    {"escaped dots", "zone", "_vlmcs._tcp.a\\.." SRV "k.c\\.d.",
     "1: _vlmcs._tcp.a\\.: is not a host name\n"},
    {"relative names without $ORIGIN", "zone",
     "_vlmcs._tcp.a" SRV "k.c.d.\n_vlmcs._tcp.a\\." SRV "k.c.d.\n_vlmcs._tcp.a." SRV
     "k.c.d\n@ SOA\n$ORIGIN x\n",
     "1: " RELATIVE "2: " RELATIVE "3: _vlmcs._tcp.a: " RELATIVE "4: " RELATIVE "5: " RELATIVE},
    {"the name of the line before", "zone", "_vlmcs._tcp.a. TXT \"x;(y\" ; z\n\t" SRV "k.c.d.",
     "k: k.c.d:1688 <- a\nskipped 1"},
    {"parentheses and CR", "zone", "_vlmcs._tcp.a. SRV ( 0 0 ; (\r\n 1688\r\n k.c.d. ) )\r\n",
     "k: k.c.d:1688 <- a\nskipped 0"},
    {"a quoted parenthesis, an escaped semicolon", "zone",
     "a\\;b. TXT \"(\\\"\" ; \"\n_vlmcs._tcp.a." SRV "k.c.d.", "k: k.c.d:1688 <- a\nskipped 1"},
    {"another class", "zone", "_vlmcs._tcp.a. CH SRV 0 0 1688 k.c.d.", "skipped 1"},
    {"each problem has its line", "zone",
     "  IN SRV 0 0 1688 k.c.d.\n\n_vlmcs._tcp.a. IN SRV 0 0\nwhat. is this\n\n$INCLUDE "
     "/etc/passwd\n"
     "$ORIGIN\n$ORIGIN ..\n. ( SOA\n) 1\nx.. A 192.0.2.3\n_vlmcs._tcp.a. IN SRV 0 0 0 k.c.d.\n",
     "1: the first record needs a name\n3: _vlmcs._tcp.a: " SRV_WRONG
     "4: what: a record needs a type, like SRV\n6: only $ORIGIN and $TTL are read\n"
     "7: $ORIGIN needs a domain name\n8: a name that is no domain name\n"
     "11: a name that is no domain name\n12: _vlmcs._tcp.a: it has port 0, where no client can "
     "connect\n"},
    {"numbers that are none, a target too many", "zone",
     "_vlmcs._tcp.a. SRV 65536 0 1688 k.c.d.\n SRV 0 -1 1688 k.c.d.\n SRV 0 0 x k.c.d.\n"
     " SRV 0 0 1 k.c.d. e\n SRV 0 0 1\n",
     "1: _vlmcs._tcp.a: " SRV_WRONG "2: _vlmcs._tcp.a: " SRV_WRONG "3: _vlmcs._tcp.a: " SRV_WRONG
     "4: _vlmcs._tcp.a: " SRV_WRONG "5: _vlmcs._tcp.a: " SRV_WRONG},
    {"generic form", "zone", "_vlmcs._tcp.a. SRV \\# 2 0000", "1: _vlmcs._tcp.a: " SRV_WRONG},
    {"TTL and class in both orders", "zone",
     "_vlmcs._tcp.a. 1h2m IN SRV 0 0 1 k.c.d.\n_vlmcs._tcp.b. class1 60 srv 0 0 1 k.c.d.\n"
     "_vlmcs._tcp.c. CLASS3 SRV 0 0 1 k.c.d.\n_vlmcs._tcp.d. TYPE33 0 0 1 k.c.d.\n_vlmcs._tcp.e. "
     "TYPE33x\n",
     "5: _vlmcs._tcp.e: a record needs a type, like SRV\n"},
    {"a parenthesis that nobody opened", "zone",
     "_vlmcs._tcp.a. SRV 0 0 1 k.c.d. )\n_vlmcs._tcp.b. SRV 0 0 1 k.c.d.\n",
     "k: k.c.d:1 <- a b\nskipped 0"},
    {"three words before the type", "zone", "_vlmcs._tcp.a. 60 IN 60 SRV 0 0 1 k.c.d.\n",
     "1: _vlmcs._tcp.a: a record needs a type, like SRV\n"},
    {"a name that $ORIGIN makes too long", "zone",
     "$ORIGIN " L60 L60 L60 "a.\n_vlmcs._tcp." L60
     "a SRV 0 0 1 k.c.d.\n_vlmcs._tcp SRV 0 0 1 " L60 L60 "k\n",
     "2: a name that is too long\n3: _vlmcs._tcp." L60 L60 L60 "a: a name that is too long\n"},
    {"the name outlives a fault", "zone", "_vlmcs._tcp.a. SRV 0 0\n SRV 0 0 0 l.c.d.",
     "1: _vlmcs._tcp.a: " SRV_WRONG
     "2: _vlmcs._tcp.a: it has port 0, where no client can connect\n"},
    {"pools that cannot be", "zone", "_vlmcs._tcp.b. SRV 0 0 1688 l.c.d.\n SRV 0 1 1688 l.c.d.\n",
     "pool l: host l.c.d:1688 is there twice\n"},
    {"target without a dot, wildcard", "zone",
     "_vlmcs._tcp.a." SRV "kms.\n_vlmcs._tcp.*.a." SRV "k.c.d.\n",
     "1: _vlmcs._tcp.a: has no dot; give the full name of the host, like kms01.contoso.com\n"
     "2: _vlmcs._tcp.*.a: the name has a wildcard below _vlmcs._tcp, which matches no question\n"},

    {"a policy zone with $ORIGIN", "rpz",
     "$ORIGIN rpz.zone.\n@ 60 SOA . . 1 1 1 1 1\n  NS .\n_vlmcs._tcp.corp.example SRV 0 0 1688 "
     "k.c.d.\n"
     "_vlmcs._tcp.b.example.RPZ.zone. SRV 0 0 1688 k.c.d.\nwww.bad CNAME .\n*.x CNAME *.\n"
     "32.1.2.0.192.rpz-ip CNAME rpz-drop.\n",
     "k: k.c.d:1688 <- b.example corp.example\nskipped 5"},
    {"the name of its SOA", "rpz",
     "rpz. SOA . . 1 1 1 1 1\n$ORIGIN example.rpz.\n_vlmcs._tcp.corp SRV 0 0 1688 "
     "k.c.d.\n_vlmcs._tcp.rpz. SRV 0 0 1688 k.c.d.\n",
     "k: k.c.d:1688 <- . corp.example\nskipped 1"},
    {"no name at all", "rpz", "@ SOA . . 1 1 1 1 1\n_vlmcs._tcp.a SRV 0 0 1688 k.c.d.\n",
     "k: k.c.d:1688 <- a\nskipped 1"},
    {"a name that is not below it", "rpz",
     "$ORIGIN rpz.\n@ SOA\n_vlmcs._tcp.a. SRV 0 0 1688 k.c.d.\nxrpz. A\n",
     "3: _vlmcs._tcp.a: is outside of the policy zone\n4: xrpz: is outside of the policy zone\n"},

    {"a whole dnsmasq.conf", "dnsmasq",
     "# Configuration file\n\ndomain=lan.example,10.0.0.0/8\nbogus-priv\n"
     "srv-host=_vlmcs._tcp.corp.example,kms01.contoso.com,1688,10,5\n"
     "  srv-host = _VLMCS._TCP.b.example, kms01.contoso.com , 1688 , 10 , 5 # here\r\n"
     "--srv-host=\"_vlmcs._tcp\",kms02.contoso.com,1688\nsrv-host=_ldap._tcp,dc.corp.example,389\n"
     "srv-host=_vlmcs._tcp.none\nsrv-hosts=x\ndomain=d.example\n",
     "kms01: kms01.contoso.com:1688,priority=10,weight=5 <- b.example corp.example\n"
     "kms02: kms02.contoso.com:1688 <- d.example\nskipped 6"},
    {"no domain, several hosts", "dnsmasq",
     "srv-host=_vlmcs._tcp,k.c.d,1688\nsrv-host=_vlmcs._tcp,l.c.d,1688,1",
     "k: k.c.d:1688 l.c.d:1688,priority=1 <- .\nskipped 0"},
    {"the port of dnsmasq", "dnsmasq", "\nsrv-host=_vlmcs._tcp.a,k.c.d",
     "k: k.c.d:1 <- a\nskipped 0\n2: no port is given, which is port 1 for dnsmasq: "
     "the pool has port 1, too; KMS hosts listen on 1688"},
    {"wrong parts", "dnsmasq",
     "srv-host=_vlmcs._tcp.a,k.c.d,65536\nsrv-host=_vlmcs._tcp.a,k.c.d,1688,x,1\n"
     "srv-host=_vlmcs._tcp.a,k.c.d,1688,0,0,0\nsrv-host=_vlmcs._tcp.a,k.c.d,0\n"
     "srv-host=_vlmcs._tcp.a,10.0.0.1,1688\nsrv-host=_vlmcs._tcp.*.a,k.c.d,1688\n",
     "1: _vlmcs._tcp.a: " SRV_WRONG "2: _vlmcs._tcp.a: " SRV_WRONG "3: _vlmcs._tcp.a: " SRV_WRONG
     "4: _vlmcs._tcp.a: it has port 0, where no client can connect\n"
     "5: _vlmcs._tcp.a: is an IP address; an SRV record needs a host name (give address=IP beside "
     "it)\n"
     "6: _vlmcs._tcp.*.a: the name has a wildcard below _vlmcs._tcp, which matches no question\n"},
    {"parts left empty, and an empty line", "dnsmasq",
     "srv-host=\nsrv-host=_vlmcs._tcp.a,k.c.d,1688,,5,\nsrv-host\n",
     "k: k.c.d:1688,weight=5 <- a\nskipped 2"},
    {"a domain that is none, or too long", "dnsmasq",
     "xdomain=y\ndomain=..\nsrv-host=_vlmcs._tcp,k.c.d,1688\n", "k: k.c.d:1688 <- .\nskipped 2"},

    {"a whole unbound.conf", "unbound",
     "# unbound.conf\nserver: # all\n\tverbosity: 1\n\tlocal-zone: \"corp.example.\" "
     "typetransparent\n"
     "\tlocal-data: \"_vlmcs._tcp.corp.example. 300 IN SRV 0 0 1688 kms01.contoso.com.\"\n"
     "local-data:'_vlmcs._tcp.b.example SRV 0 0 1688 kms01.contoso.com'\r\nlocal-data: "
     "\"www.corp.example. A 10.0.0.1\" # x\n"
     "local-data-ptr: \"10.0.0.1 a\"\nview:\n\tname: \"x\"\n\tlocal-data: \"_vlmcs._tcp.c.example. "
     "SRV 0 0 1688 k.c.d.\"\n"
     "forward-zone:\n\tname: \".\"\n",
     "kms01: kms01.contoso.com:1688 <- b.example corp.example\nskipped 10"},
    {"wrong data", "unbound",
     "local-data: \"_vlmcs._tcp.a. SRV 0 0\nlocal-data: \"_vlmcs._tcp.a. SRV 0 0 "
     "1688\"\nlocal-data: ' SRV 0 0 1688 k.c.d.'\nlocal-data: '$INCLUDE x'\n"
     "local-data:\nlocal-data: '_vlmcs._tcp.a. SRV 0 0 1688 10.0.0.1'",
     "1: the quotes of local-data do not end\n2: _vlmcs._tcp.a: " SRV_WRONG
     "3: the first record needs a name\n4: only $ORIGIN and $TTL are read\n"
     "6: _vlmcs._tcp.a: is an IP address; an SRV record needs a host name (give address=IP beside "
     "it)\n"},

    {"a list of domains", "publish-list",
     "corp.example\r\n b.example , 10 , 5\n\nc.example,\nd.example,1",
     "given:  <- b.example c.example corp.example d.example\nskipped 0\n"
     "priority and weight of 3 domains are left: the hosts of pool given have their own"},
    {"no list", "publish-list", "a, 1, 2, 3\na b\n_vlmcs._tcp.a\n",
     "1: a cell stands beyond the last column\n2: suffixes: \"a b\" has a blank in it\n"
     "3: suffixes: \"_vlmcs._tcp.a\" is a whole name; write the suffix alone, without "
     "_vlmcs._tcp\n\n"
     "priority and weight of 1 domains are left: the hosts of pool given have their own"},

    {"columns in any order", "csv",
     "comment,Host , SUFFIX\r\nCHG 1,kms01.contoso.com,corp.example\r\n\"CHG "
     "1\",kms01.contoso.com:1688,b.example\r\n",
     "kms01: kms01.contoso.com:1688 <- b.example corp.example # CHG 1\nskipped 0"},
    {"Excel in German: BOM, semicolons, CRLF", "csv",
     "\xef\xbb\xbfsuffix;host;network;comment\r\nm\xc3\xbcller.example;kms01.contoso.com;;\"a;b "
     "\"\"c\"\"\r\nd\"\r\n*;kms01.contoso.com;kiosks;\r\n;;;\r\n",
     "kms01: kms01.contoso.com:1688 <- m\\195\\188ller.example # a;b \"c\"\r\nd\nfill-kms01-kiosks "
     "kms01: kms01.contoso.com:1688 <- * @kiosks\nskipped 0"},
    {"the line of Excel that names its separator", "csv", "sep=|\nsuffix|pool\na|p|\n",
     "p:  <- a\nskipped 0"},
    {"tabs, and quotes around all", "csv", "\"suffix\"\t\"pool\"\n\"a\"\t\"p\"\n\n \t \n",
     "p:  <- a\nskipped 0"},
    {"a pool that is there, some rules of it", "csv",
     "suffix,pool,network,rule,comment\na,p,,,\nb,p,n,,\nc,p,m n,,\nd,p,n "
     "m,,\ne,p,,own,\nf,p,any,,x\n",
     "p:  <- a\nfill-p-any p:  <- f @any # x\nfill-p-m-n p:  <- c d @m @n\nfill-p-n p:  <- b "
     "@n\nown p:  <- e\nskipped 0"},
    {"several hosts, in one cell or some rows", "csv",
     "suffix,host\na,k.c.d:1 "
     "l.c.d\nb,l.c.d\nb,k.c.d:1\nc,\"k.c.d,priority=1,address=10.0.0.1\"\nd,k.c.d:1 k.c.d:1\n",
     "k: k.c.d:1 <- d\nk-2: k.c.d:1 l.c.d:1688 <- a b\nk-3: k.c.d:1688,priority=1,address=10.0.0.1 "
     "<- c\nskipped 0"},
    {"fewer hosts have the name, a later suffix or not", "zone",
     "_vlmcs._tcp.b." SRV "k.c.d.\n_vlmcs._tcp.a." SRV "k.c.d.\n_vlmcs._tcp.a." SRV "l.c.d.\n",
     "k: k.c.d:1688 <- b\nk-2: k.c.d:1688 l.c.d:1688 <- a\nskipped 0"},
    {"a pool and its hosts", "csv", "suffix,pool,host\na,k,l.c.d\nb,k,l.c.d\nc,,k.c.d\nd,k,\n",
     "k: l.c.d:1688 <- a b d\nk-2: k.c.d:1688 <- c\nskipped 0"},
    {"guards of formulas", "csv", "suffix,pool,comment\na,p,'=1+1\nb,q,'x\nc,r,''@\n-d,s,'-'\n",
     "p:  <- a # =1+1\nq:  <- b # 'x\nr:  <- c # '@\ns:  <- -d # -'\nskipped 0"},
    {"the first comment stays", "csv", "suffix,pool,comment\na,p,\nb,p,x\nc,p,y\n",
     "p:  <- a b c # x\nskipped 0"},
    {"a short row, and empty cells too many", "csv", "suffix,pool,comment\na,p\nb,p,,,,\n",
     "p:  <- a b\nskipped 0"},
    {"each wrong cell has its place", "csv",
     "suffix,host,pool,network,rule,comment\n\"x\ny\",k.c.d,,,,\na..b,k.c.d,,,,\nb,10.0.0.1 "
     "k,,,,\nc,,P,,,\n"
     "d,,p,x N,,\ne,,p,,R,\nf,,,,,\ng,,p,,,,z\nh,k.c.d,,,," L60 L60 L60 L60 L60 "\n",
     "2: suffixes: \"x y\" has a blank in it\n4: suffixes: \"a..b\" is not a domain name\n"
     "5: a host: \"10.0.0.1\" is an IP address; an SRV record needs a host name (give address=IP "
     "beside it)\n"
     "5: a host: \"k\" has no dot; give the full name of the host, like kms01.contoso.com\n"
     "6: pool: \"P\" " NAME_WRONG "7: networks: \"N\" " NAME_WRONG "8: rule \"R\" " NAME_WRONG
     "9: a row has neither pool nor host (--pool is for all)\n10: a cell stands beyond the "
     "last column\n"
     "11: comment: \"" L60 L60 L60 L60
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" has more than 255 bytes\n"},
    {"a misspelt column", "csv", "suffix,netwrok,suffix,\na,b,c\n",
     "1: column \"netwrok\": known are suffix, pool, host, network, rule and comment\n"
     "1: the column suffix is there twice\n"},
    {"no column of suffixes", "csv", "\n\nhost,pool\n",
     "3: no column is named suffix: the first line names the columns\n"},
    {"Excel says no separator", "csv",
     "sep=", "1: the file is empty: its first line names the columns\n"},
    {"one column", "csv", "suffix\na", "2: a row has neither pool nor host (--pool is for all)\n"},
    {"a row without suffix", "csv", "pool,suffix\np\n", "2: a row has no suffix\n"},
    {"nothing", "csv", "\xef\xbb\xbf\r\n",
     "1: the file is empty: its first line names the columns\n"},
    {"quotes without end", "csv", "suffix,pool\na,\"p\nb,q\n",
     "2: a cell has quotes that do not end\n2: pool: \"p b,q\" has characters other than a-z "
     "0-9 . _ -\n"},
    {"Windows-1252", "csv", "suffix,pool\nm\xfcller.example,p\n",
     "2: a cell is not UTF-8; save the table as \"CSV UTF-8\"\n"},
    {"a suffix that needs a network", "csv", "suffix,pool\n*.a,p\n",
     "rule fill-p: suffix *.a is so wide that it needs networks; if every client is meant, name "
     "the network any\n"},
    {"a rule that is two", "csv",
     "suffix,pool,network,rule\na,p,,r\nb,q,,r\nd,p,n,\ne,p,,fill-p-n\n",
     "5: rule fill-p-n has another pool or network here than in line 4\n"
     "3: rule r has another pool or network here than in line 2\n"},
    {"a rule's name that is too long", "csv", "suffix,pool,network\na," P40 "," P40 "\n",
     "2: the rule's name would be too long: name it in the column rule\n"},
};

static void print_list(FILE *f, enum policy_kind kind, const void *object)
{
    const struct policy_list *list = policy_members_of(kind, object);
    const char *one = list->at;
    char text[HOST_TEXT];

    for (size_t i = 0; i < list->n; i++, one += policy_lists[kind]->element->size)
        fprintf(f, "%s%s", i > 0 ? " " : "", policy_member_print(kind, one, text));
}

static void print_policy(FILE *f, const struct policy *p)
{
    for (size_t i = 0; i < p->n_rules; i++) {
        const struct policy_rule *r = &p->rules[i];
        const struct policy_pool *pool = policy_find(p, POLICY_POOL, r->pool);

        if (strncmp(r->name, "fill-", 5) != 0 || strcmp(r->name + 5, r->pool) != 0)
            fprintf(f, "%s ", r->name);
        fprintf(f, "%s: ", r->pool);
        if (pool != NULL)
            print_list(f, POLICY_POOL, pool);
        fputs(" <- ", f);
        print_list(f, POLICY_RULE, r);
        for (size_t k = 0; k < r->n_networks; k++)
            fprintf(f, " @%s", r->networks[k]);
        fprintf(f, "%s%s\n", r->comment[0] != '\0' ? " # " : "", r->comment);
    }
}

/* What becomes of the octets; the caller frees. */
static char *read_as(const char *format_name, const char *octets, size_t len)
{
    const struct policy_format *format = policy_format_find(format_name, false);
    char *text, *copy = malloc(len + 1); /* of its length: a read behind it is seen */
    size_t size;
    FILE *f = open_memstream(&text, &size);
    struct diags problems = {0}, remarks = {0};
    struct import in = {.file = "z",
                        .text = memcpy(copy, octets, len),
                        .len = len,
                        .pool = format->needs_pool ? "given" : NULL,
                        .problems = &problems,
                        .remarks = &remarks};
    struct policy p;
    int rc;

    copy[len] = '\0';
    rc = import_read(&in, format, &p);
    assert_true(rc == 0 ? problems.all == 0 : rc == -EINVAL && problems.all > 0);
    if (rc == 0) {
        print_policy(f, &p);
        fprintf(f, "skipped %zu", in.left);
        policy_fini(&p);
    }
    for (size_t i = 0; i < problems.n; i++)
        fprintf(f, "%s\n", problems.list[i] + (strncmp(problems.list[i], "z:", 2) == 0 ? 2 : 0));
    for (size_t i = 0; i < remarks.n; i++)
        fprintf(f, "\n%s", remarks.list[i] + (strncmp(remarks.list[i], "z:", 2) == 0 ? 2 : 0));
    fclose(f);
    diags_fini(&problems);
    diags_fini(&remarks);
    free(copy);
    return text;
}

static void check_format(void **state)
{
    const struct row *r = *state;
    char *text = read_as(r->format, r->text, strlen(r->text));

    assert_string_equal(text, r->want);
    free(text);
}

/* A text with a megabyte of one octet in its middle: refused where it stands, or taken. */
static const struct huge_row {
    const char *what, *format, *before, *octet, *behind, *want;
} huge[] = {
    {"a line", "zone", "\n", "a", ". A", "2: a name that is no domain name\n"},
    {"parentheses", "zone", "_vlmcs._tcp.a. SRV 0 0 1 k.c.d. ", "(\n", ")",
     "k: k.c.d:1 <- a\nskipped 0"},
    {"escapes", "zone", "", "\\", ". A", "1: a "},
    {"a comment", "zone", "_vlmcs._tcp.a. SRV 0 0 1 k.c.d. ;", "x", "\n",
     "k: k.c.d:1 <- a\nskipped 0"},
    {"a suffix", "csv", "pool,suffix\np,", "a", "\nq,b", "2: suffixes: \"aaaa"},
    {"a suffix of quotes", "csv", "pool,suffix\np,\"", "\"", "\"\nq,b", "2: suffixes: \""},
    {"blanks", "csv", "pool,suffix\np,\"", " ", "\"\nq,b", "2: suffixes: \"\" is empty"},
    {"cells", "csv", "pool,suffix\np,a", ",", "\nq,b", "p:  <- a\nq:  <- b\nskipped 0"},
    {"columns", "csv", "pool,suffix", ",", "\nq,b", "q:  <- b\nskipped 0"},
    {"a column", "csv", "pool,suffix,", "a", "\nq,b", "1: column \"aaa"},
    {"rows", "csv", "pool,suffix\nq,b", "\n", "p,", "1048578: suffixes: \"\" is empty"},
    {"networks", "csv", "suffix,pool,network\na,p,", "n ", "",
     "2: networks has 65 elements; at most 64 are allowed"},
    {"a network", "csv", "suffix,pool,network\na,p,", "n", "", "2: networks: \""},
    {"a pool", "csv", "suffix,pool\na,", "p", "", "2: pool: \""},
    {"a rule", "csv", "suffix,pool,rule\na,p,", "r", "", "2: rule \""},
    {"a comment", "csv", "suffix,pool,comment\na,p,", "\xc3\xa4", "", "2: comment: \""},
    {"a host", "csv", "suffix,host\na,", "k", "", "2: a host: \"kkkk"},
    {"hosts", "csv", "suffix,host\na,", "k.c.d ", "", "k: k.c.d:1688 <- a\nskipped 0"},
    {"a suffix", "publish-list", "b\n", "a", ", 1", "2: suffixes: \"aaaa"},
    {"parts", "publish-list", "b\na", ",", ", 1", "2: a cell stands beyond the last column\n"},
    {"a name", "dnsmasq", "srv-host=_vlmcs._tcp.", "a", ",k.c.d,1688\n", "skipped 1"},
    {"a target", "dnsmasq", "\nsrv-host=_vlmcs._tcp.a,", "k", ",1688\n",
     "2: _vlmcs._tcp.a: a name that is no domain name\n"},
    {"a port", "dnsmasq", "\nsrv-host=_vlmcs._tcp.a,k.c.d,", "1", "\n",
     "2: _vlmcs._tcp.a: " SRV_WRONG},
    {"domains", "dnsmasq", "", "domain=a\n", "srv-host=_vlmcs._tcp,k.c.d,1688\n",
     "k: k.c.d:1688 <- a\nskipped 1048576"},
    {"a domain", "dnsmasq", "domain=", "a", "\nsrv-host=_vlmcs._tcp,k.c.d,1688\n",
     "k: k.c.d:1688 <- .\nskipped 1"},
    {"a name", "unbound", "\nlocal-data: \"_vlmcs._tcp.", "a", " SRV 0 0 1 k.c.d\"",
     "2: a name that is no domain name\n"},
    {"blanks", "unbound", "\nlocal-data: \"_vlmcs._tcp.a", " ", " SRV 0 0 1 k.c.d\"",
     "k: k.c.d:1 <- a\nskipped 0"},
};

static void check_huge(void **state)
{
    enum { MANY = 1 << 20 };
    const struct huge_row *r = *state;
    size_t n = strlen(r->octet), begin = strlen(r->before), end = strlen(r->behind);
    char *octets = malloc(begin + MANY * n + end), *text;

    memcpy(octets, r->before, begin);
    for (size_t i = 0; i < MANY; i++)
        memcpy(octets + begin + i * n, r->octet, n);
    memcpy(octets + begin + MANY * n, r->behind, end);
    text = read_as(r->format, octets, begin + MANY * n + end);
    if (strncmp(text, r->want, strlen(r->want)) != 0)
        fail_msg("%.300s", text);
    assert_true(strlen(text) < 600);
    free(text);
    free(octets);
}

/* UTF-16 of either order, and a NUL anywhere, in each format. */
static void nul_octets(void **state)
{
    static const char le[] = "\xff\xfe"
                             "s\0u\0f\0\n\0\0",
                      be[] = "\xfe\xff\0s\0u\0f", late[] = "\n\na\0b";

    (void)state;
    for (const struct policy_format *f = policy_formats; f->name != NULL; f++) {
        bool reads = f->read != NULL || f->is_whole;
        char *texts[] = {reads ? read_as(f->name, le, sizeof le) : NULL,
                         reads ? read_as(f->name, be, sizeof be) : NULL,
                         reads ? read_as(f->name, late, sizeof late) : NULL};

        for (int i = 0; i < 3 && reads; i++) {
            assert_int_equal(
                strncmp(texts[i], i < 2 ? "1: a NUL" : "3: a NUL octet: this is no text in UTF-8",
                        8),
                0);
            free(texts[i]);
        }
    }
}

static const struct guess_row {
    const char *what, *path, *text;
    bool pool;
    const char *want;
} guesses[] = {
    {"a policy", "x.csv", "# suffix,host\nwaymark-policy: 1\n", false, "yaml"},
    {"a header", "x", "\xef\xbb\xbf\"Host\";\"Suffix\"\r\n", false, "csv"},
    {"a header of one column", "x", "\nsuffix\r\n", true, "csv"},
    {"not its second line", "x.db", "a b\nsuffix,host\n", false, "zone"},
    {"a header of words with it", "x", "a suffix,host\n", false, "yaml"},
    {"a comment with it", "x.db", "; suffix, host\n", false, "zone"},
    {"a tab before it", "x", "host\tsuffix\n", false, "csv"},
    {"a list of such a domain", "x", "suffix.example, 1\n", true, "publish-list"},
    {"what Excel puts in front", "x", "sep=;\nhost;suffix\n", false, "csv"},
    {"dnsmasq.conf", "x.conf", "# Configuration\n\nbogus-priv\nsrv-host = _vlmcs._tcp.a,k\n", false,
     "dnsmasq"},
    {"unbound.conf", "x.conf", "server:\n\tverbosity: 1\n", false, "unbound"},
    {"a piece of it", "-", "  local-data: \"_vlmcs._tcp.a. SRV 0 0 1688 k.c.d.\"\n", false,
     "unbound"},
    {"a policy zone", "x.db", "$TTL 60\nwww.bad.example\tIN  CNAME\t.\n", false, "rpz"},
    {"one by its triggers", "x", "$TTL 60\n32.1.2.0.192.rpz-ip CNAME rpz-drop.\n", false, "rpz"},
    {"one by its name", "x", "rpz.corp.example. IN SOA . . 1 1 1 1 1\n", false, "rpz"},
    {"an alias is none", "x", "www CNAME host.\n_vlmcs._tcp SRV 0 0 1688 k\n", false, "zone"},
    {"a line of a zone", "x", "_vlmcs._tcp.a. 60 in srv 0 0 1688 k.c.d.\n", true, "zone"},
    {"a list", "x", "corp.example\nb.example, 10, 0\n", true, "publish-list"},
    {"nothing that is known", "x", "corp.example\n", false, "yaml"},
    {"the end of a name", "a.b/x.csv", "sufix\n", false, "csv"},
    {"an end that is part of another", "x.ym", "", false, "yaml"},
    {"a name without end", "zone", "", false, "yaml"},
    {"a list that ends like another", "x.csv", "corp.example\n", true, "csv"},
};

static void check_guess(void **state)
{
    const struct guess_row *r = *state;

    assert_string_equal(policy_format_guess(r->path, r->text, r->pool)->name, r->want);
}

TESTS("formats", ROWS(rows, check_format), ROWS(huge, check_huge), TEST(nul_octets),
      ROWS(guesses, check_guess))
