/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tls.c -- the only file that knows OpenSSL's side of TLS.
 *
 * What is written in the settings must hold, all of it: with a name, the chain up to one of the CAs
 * and the name in the certificate; with pins, the key of the certificate itself is one of them.
 */
#include "resolver/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>

#include "base/file.h"
#include "wire/message.h"

enum { CA_MAX_BYTES = 16 << 20, DIGEST = TLS_DIGEST, PIN_TEXT = 44, PIN_DECODED = 33 };
/* Errors: a verdict on the certificate, a fault of the protocol. */
enum { WRONG_KEY = TLS_ERRORS, UNVERIFIED, FAULT = 200000 };

/* The CAs of the system: of Debian and Alpine, of Fedora, of SUSE. */
static const char *const system_cas[] = {"/etc/ssl/certs/ca-certificates.crt",
                                         "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/ca-bundle.pem", NULL};

struct wants {
    struct tls tls;
    SSL_CTX *context;
    char name[256];
    int n_pins;
    uint8_t pins[ROUTE_MAX_PINS][DIGEST];
};

struct tls_link {
    SSL *ssl;
    struct wants *wants; /* held */
};

struct tls *tls_hold(struct tls *t)
{
    if (t)
        atomic_fetch_add(&t->users, 1);
    return t;
}

void tls_release(void *tls)
{
    struct wants *w = tls;

    if (w == NULL || atomic_fetch_sub(&w->tls.users, 1) > 1)
        return;
    SSL_CTX_free(w->context);
    free(w);
}

void tls_forget(struct tls_memory *m)
{
    SSL_SESSION_free(m->session);
    m->session = NULL;
}

/* The server gave a ticket for the next connection. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_memory *m = SSL_get_app_data(ssl);

    tls_forget(m);
    m->session = session;
    return 1;
}

/* The certificates of the file are those to which a chain must lead. 0, or -errno, told. */
static int read_cas(struct wants *w, const struct route *r, EVP_MD_CTX *digest, struct diags *d)
{
    const char *const own[] = {r->tls_ca, NULL}, *const *path = own;
    char *text = NULL, zone[NAME_TEXT];
    int rc = -ENOENT, n = 0;
    BIO *bio = NULL;
    size_t len = 0;
    X509 *ca;

    if (r->tls_ca[0] == '\0')
        path = system_cas;
    for (; *path && rc == -ENOENT; path++)
        rc = file_read(*path, CA_MAX_BYTES, &text, &len);
    if (rc == 0)
        bio = BIO_new_mem_buf(text, (int)len);
    while (bio && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        n += X509_STORE_add_cert(SSL_CTX_get_cert_store(w->context), ca);
        X509_free(ca);
    }
    BIO_free(bio);
    ERR_clear_error(); /* the file has ended */
    if (rc == 0)
        EVP_DigestUpdate(digest, text, len);
    free(text);
    name_print(&r->zone, zone);
    if (rc != 0)
        diags_tell(d, "forward.tls-ca of %s: %s cannot be read: %s", zone, path[-1], strerror(-rc));
    else if (n == 0)
        rc = diags_tell(d, "forward.tls-ca of %s: %s has no certificate of a CA in PEM form", zone,
                        path[-1]);
    return rc;
}

static void set_up(SSL_CTX *c, bool verifies)
{
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    /* Messages have their length: one that is cut is seen. */
    SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, on_session);
    SSL_CTX_set_verify(c, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
}

/* 0, or -errno, told. */
static int make_one(struct tls **out, const struct route *r, struct diags *d)
{
    struct wants *w = calloc(1, sizeof *w);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool verifies = r->tls == TLS_STRICT && r->tls_name[0] != '\0';
    uint8_t pin[PIN_DECODED + 3];
    int rc = -ENOMEM;

    if (w && digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
        (w->context = SSL_CTX_new(TLS_client_method())) != NULL) {
        set_up(w->context, verifies);
        w->tls = (struct tls){1, r->tls == TLS_STRICT, r->tls == TLS_STRICT ? 0 : r->tls_port, {0}};
        str_copy(w->name, sizeof w->name, r->tls_name);
        for (; w->n_pins < r->n_tls_pins; w->n_pins++) {
            EVP_DecodeBlock(pin, (const uint8_t *)strchr(r->tls_pins[w->n_pins], '/') + 1,
                            PIN_TEXT);
            memcpy(w->pins[w->n_pins], pin, DIGEST);
        }
        EVP_DigestUpdate(digest, &w->tls.is_strict, sizeof w->tls.is_strict);
        EVP_DigestUpdate(digest, &w->tls.port, sizeof w->tls.port);
        EVP_DigestUpdate(digest, w->name, sizeof w->name);
        EVP_DigestUpdate(digest, w->pins, sizeof w->pins);
        rc = verifies ? read_cas(w, r, digest, d) : 0;
        EVP_DigestFinal_ex(digest, w->tls.digest, NULL);
    }
    EVP_MD_CTX_free(digest);
    if (rc == 0) {
        *out = &w->tls;
        return 0;
    }
    if (rc == -ENOMEM)
        diags_tell(d, "TLS cannot be had: %s", ERR_reason_error_string(ERR_get_error()));
    if (w)
        SSL_CTX_free(w->context);
    free(w);
    return rc;
}

static bool is_written_alike(const struct route *a, const struct route *b)
{
    bool same = a->tls == b->tls && a->tls_port == b->tls_port && a->n_tls_pins == b->n_tls_pins &&
                strcmp(a->tls_name, b->tls_name) == 0 && strcmp(a->tls_ca, b->tls_ca) == 0;

    for (int i = 0; same && i < a->n_tls_pins; i++)
        same = strcmp(a->tls_pins[i], b->tls_pins[i]) == 0;
    return same;
}

int tls_make(struct settings *s, const struct settings *copy_of, struct diags *d)
{
    int bad = 0, rc;

    for (int i = 0; i < s->n_routes; i++) {
        struct route *r = (struct route *)(uintptr_t)&s->routes[i]; /* still ours alone */
        const struct route *from = copy_of ? copy_of->routes + i : s->routes;
        struct tls *t = NULL;

        if (r->tls == TLS_OFF)
            continue;
        while (from < r && copy_of == NULL && !is_written_alike(from, r))
            from++;
        rc = 0;
        if (from != r)
            t = tls_hold(from->made);
        if (t == NULL)
            rc = make_one(&t, r, d);
        if (rc == 0 && !arena_at_end(s->arena, tls_release, t)) {
            tls_release(t);
            rc = diags_tell(d, "%s", strerror(ENOMEM));
        }
        r->made = rc == 0 ? t : NULL;
        bad = rc != 0 ? rc : bad;
    }
    return bad;
}

struct tls_link *tls_begin(struct tls *t, int fd, struct tls_memory *m)
{
    struct wants *w = (struct wants *)t;
    struct tls_link *l = calloc(1, sizeof *l);
    SSL *ssl = l ? SSL_new(w->context) : NULL;

    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 ||
        (w->name[0] != '\0' &&
         (SSL_set_tlsext_host_name(ssl, w->name) != 1 || SSL_set1_host(ssl, w->name) != 1))) {
        SSL_free(ssl);
        free(l);
        return NULL;
    }
    /* RFC 8310 8.1: the names that the certificate has for that purpose, and no others. */
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    SSL_set_connect_state(ssl);
    SSL_set_app_data(ssl, m);
    if (m->session)
        SSL_set_session(ssl, m->session);
    tls_hold(t);
    *l = (struct tls_link){ssl, w};
    return l;
}

/* What the failure of a call means, as a negative error. */
static int failure_of(const struct tls_link *l, int rc)
{
    long verdict = SSL_get_verify_result(l->ssl);

    switch (SSL_get_error(l->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        return -EINPROGRESS;
    case SSL_ERROR_SYSCALL:
        return errno != 0 ? -errno : -ECONNRESET;
    case SSL_ERROR_SSL:
        if (SSL_get_verify_mode(l->ssl) != SSL_VERIFY_NONE && verdict != X509_V_OK)
            return -(UNVERIFIED + (int)verdict);
        return -(FAULT + ERR_GET_REASON(ERR_peek_error()));
    default: /* closed, as it should be or not */
        return -ECONNRESET;
    }
}

static bool has_pinned_key(const struct tls_link *l)
{
    const X509 *certificate = SSL_get0_peer_certificate(l->ssl);
    uint8_t key[DIGEST], *der = NULL;
    bool found = false;
    int len;

    if (certificate == NULL)
        return false;
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (len > 0 && EVP_Digest(der, (size_t)len, key, NULL, EVP_sha256(), NULL) == 1)
        for (int i = 0; i < l->wants->n_pins; i++)
            found = found || memcmp(l->wants->pins[i], key, DIGEST) == 0;
    OPENSSL_free(der);
    return found;
}

int tls_handshake(struct tls_link *l)
{
    int rc;

    ERR_clear_error();
    errno = 0;
    rc = SSL_do_handshake(l->ssl);
    if (rc != 1)
        return failure_of(l, rc);
    if (l->wants->n_pins > 0 && !has_pinned_key(l))
        return -WRONG_KEY;
    return SSL_session_reused(l->ssl);
}

ssize_t tls_move(struct tls_link *l, bool out, void *octets, size_t n)
{
    size_t moved = 0;
    int rc;

    ERR_clear_error();
    errno = 0;
    rc = out ? SSL_write_ex(l->ssl, octets, n, &moved) : SSL_read_ex(l->ssl, octets, n, &moved);
    return rc == 1 ? (ssize_t)moved : failure_of(l, rc);
}

void tls_end(struct tls_link *l)
{
    if (l == NULL)
        return;
    if (SSL_is_init_finished(l->ssl))
        (void)SSL_shutdown(l->ssl); /* else its session could not be taken up again */
    ERR_clear_error();
    SSL_free(l->ssl);
    tls_release(l->wants);
    free(l);
}

const char *tls_error_text(int error)
{
    const char *text;

    if (error == WRONG_KEY)
        return "its key is none of tls-pin";
    if (error < FAULT)
        return X509_verify_cert_error_string(error - UNVERIFIED);
    text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, error - FAULT));
    return text ? text : "unknown fault";
}
