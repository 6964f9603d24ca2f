#!/usr/bin/env bash
# A time-stamping authority for tests, made by openssl: it vouches for nothing, and its keys lie in the open.
#   authority.sh create DIR NAME ec|rsa [DAYS]   root, intermediate and signer under DIR, and NAME.json as a trust file takes it
#   authority.sh stamp DIR FILE OUT       the response to a request over FILE, at the time it is asked
set -euo pipefail

case $1 in
create)
    dir=$2 name=$3
    mkdir -p "$dir"
    cd "$dir"
    case $4 in
    ec) key=(-algorithm EC -pkeyopt ec_paramgen_curve:P-256) ;;
    rsa) key=(-algorithm RSA -pkeyopt rsa_keygen_bits:2048) ;;
    esac
    cat >openssl.cnf <<CNF
[req]
distinguished_name = none
[none]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = authority
[authority]
serial = serial
signer_cert = signer.pem
signer_key = signer.key
certs = between.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
CNF
    for who in root between signer; do openssl genpkey "${key[@]}" -out $who.key 2>/dev/null; done
    ask() { openssl req -new -config openssl.cnf -key "$1.key" -subj "/O=Taggant tests/CN=$name $1"; }
    openssl req -x509 -config openssl.cnf -extensions root -key root.key -subj "/O=Taggant tests/CN=$name root" -days 7300 -out root.pem
    ask between | openssl x509 -req -CA root.pem -CAkey root.key -CAcreateserial -extfile openssl.cnf -extensions root -days 7300 -out between.pem 2>/dev/null
    ask signer | openssl x509 -req -CA between.pem -CAkey between.key -CAcreateserial -extfile openssl.cnf -extensions signer -days "${5:-3650}" -out signer.pem 2>/dev/null
    echo 01 >serial
    der() { openssl x509 -in "$1.pem" -outform DER | base64 -w 0; }
    year=$(date -u +%Y)
    printf '{"name":"%s","root":"%s","signer":"%s","between":["%s"],"from":"%s-01-01T00:00:00.000Z","until":"%s-01-01T00:00:00.000Z"}\n' \
        "$name" "$(der root)" "$(der signer)" "$(der between)" "$year" "$((year + 9))" >"$name.json"
    ;;
stamp)
    file=$(realpath "$3") out=$(realpath -m "$4")
    cd "$2"
    openssl ts -query -data "$file" -sha256 -cert -no_nonce 2>/dev/null | openssl ts -reply -config openssl.cnf -section authority -queryfile /dev/stdin -out "$out" 2>/dev/null
    ;;
esac
