# does: digests, ciphers, keys and signatures, certificates, a TLS connection over loopback
# needs: openssl

set -euo pipefail

seq 300000 >plain
for name in md5 sha1 sha256 sha512 sha3-256 blake2b512; do
    under openssl dgst -"$name" plain
done
for name in aes-256-cbc aes-128-ctr chacha20 camellia-192-cbc; do
    under openssl enc -"$name" -pbkdf2 -S 0123456789abcdef -k secret -in plain -out sealed
    sha256sum <sealed
    under openssl enc -d -"$name" -pbkdf2 -S 0123456789abcdef -k secret -in sealed | cmp - plain
done
under openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem 2>/dev/null
under openssl genpkey -algorithm ED25519 -out ed.pem
under openssl pkey -in rsa.pem -check -noout
under openssl dgst -sha256 -sign rsa.pem -out signature plain
under openssl dgst -sha256 -prverify rsa.pem -signature signature plain
under openssl req -x509 -new -key rsa.pem -subj /CN=localhost -days 2 -out cert.pem
under openssl x509 -in cert.pem -noout -subject
under openssl verify -CAfile cert.pem cert.pem
under openssl pkcs12 -export -in cert.pem -inkey rsa.pem -passout pass:x -out both.p12
under openssl pkcs12 -in both.p12 -passin pass:x -nodes 2>/dev/null | grep -c BEGIN
under openssl cms -sign -in plain -binary -signer cert.pem -inkey rsa.pem -nodetach -out signed
under openssl cms -verify -in signed -CAfile cert.pem -out opened 2>&1
cmp plain opened
under openssl prime 2147483647

setpriv --pdeathsig KILL under openssl s_server -accept 127.0.0.1:0 -cert cert.pem -key rsa.pem \
    -rev >server.log 2>&1 &
server=$!
trap 'kill "$server" || true; wait "$server" || true' EXIT
await "$server" '^ACCEPT 127.0.0.1:[0-9]*$' server.log
port=$(sed -n 's/^ACCEPT 127.0.0.1://p' server.log)
mkfifo question
for version in tls1_2 tls1_3; do
    under openssl s_client -quiet -no_ign_eof -connect "127.0.0.1:$port" -"$version" \
        -CAfile cert.pem -servername localhost <question >answer 2>errors &
    client=$!
    exec 3>question
    echo "spoken with $version" >&3
    await "$client" . answer
    exec 3>&- # it hangs up
    wait "$client"
    cat answer
done
