<?php
// Memory goes from a library to its extension and back: what one allocates the other frees.

$extensions = get_loaded_extensions();
sort($extensions);
echo implode(' ', $extensions), "\n";

// serve(ANSWER): a child that calls ANSWER with each connection. Returns its address and its PID.
function serve($answer)
{
    $listener = stream_socket_server('tcp://127.0.0.1:0', context:
        stream_context_create(['socket' => ['backlog' => 100]]));
    $child = pcntl_fork();
    if ($child == 0) {
        while ($connection = stream_socket_accept($listener, 60)) {
            $answer($connection);
            fclose($connection);
        }
        exit(1);
    }
    return [stream_socket_get_name($listener, false), $child];
}

function stop($child)
{
    posix_kill($child, SIGKILL);
    pcntl_waitpid($child, $status);
}

// --- curl ----------------------------------------------------------------------------------------

[$address, $child] = serve(function ($connection) {
    $path = explode(' ', fgets($connection))[1];
    while (rtrim(fgets($connection)) != '');
    $body = str_repeat("$path\n", (int) substr($path, 1));
    fwrite($connection, "HTTP/1.0 200 OK\r\nX-Path: $path\r\nContent-Length: " . strlen($body)
        . "\r\n\r\n$body");
});
$multi = curl_multi_init();
$handles = [];
for ($n = 1; $n <= 40; $n++) {
    $handle = curl_init("http://$address/" . $n * 50);
    curl_setopt_array($handle, [CURLOPT_RETURNTRANSFER => true, CURLOPT_PROXY => '',
        CURLOPT_HEADER => $n % 2 == 0, CURLOPT_HTTPHEADER => ["X-Number: $n", 'Expect:']]);
    curl_multi_add_handle($multi, $handle);
    $handles[] = $handle;
}
do {
    curl_multi_exec($multi, $running);
    curl_multi_select($multi, 1);
} while ($running);
$sums = '';
foreach ($handles as $handle) {
    $sums .= md5(curl_multi_getcontent($handle)) . curl_getinfo($handle, CURLINFO_HTTP_CODE);
    curl_multi_remove_handle($multi, $handle);
    curl_close($handle);
}
curl_multi_close($multi);
stop($child);
$form = curl_init();
echo 'curl ', md5($sums), ' ', curl_escape($form, 'a b/ü'), ' ', curl_unescape($form, 'a%20b'), "\n";

// --- mysqli, PDO: a server that has too many clients says so before it is greeted ----------------

[$address, $child] = serve(function ($connection) {
    $text = "\xff" . pack('v', 1040) . '#08004Too many connections';
    fwrite($connection, pack('VX', strlen($text)) . "\0$text");
});
$port = explode(':', $address)[1];
for ($n = 0; $n < 3; $n++) {
    try {
        new mysqli('127.0.0.1', 'user', 'password', 'test', (int) $port);
    } catch (mysqli_sql_exception $e) {
        echo 'mysqli ', $e->getCode(), ' ', $e->getMessage(), "\n";
    }
    try {
        new PDO("mysql:host=127.0.0.1;port=$port", 'user', 'password');
    } catch (PDOException $e) {
        echo 'PDO ', $e->getMessage(), "\n";
    }
}
stop($child);
echo 'mysqli ', mysqli_get_client_info(), "\n";

// --- The others ----------------------------------------------------------------------------------

$c = FFI::cdef('void *malloc(size_t); void *realloc(void *, size_t); void free(void *);
    char *strdup(const char *); size_t strlen(const char *);');
$sum = 0;
for ($n = 0; $n < 2000; $n++) {
    $block = $c->realloc($c->malloc($n), $n + 100);
    FFI::memset($block, $n & 127, $n);
    $c->free($block);
    $copy = $c->strdup(str_repeat('x', $n));
    $sum += $c->strlen($copy);
    $c->free($copy);
}
echo "FFI $sum\n";

$text = str_repeat('Größe ', 20000);
echo 'iconv ', md5(iconv('UTF-8', 'UTF-16LE', $text)), ' ', iconv_strlen($text, 'UTF-8'), "\n";
echo 'zlib ', gzuncompress(gzcompress($text)) == $text ? 'same' : 'differs', "\n";
echo 'hash ', hash('sha3-256', $text), ' ', crc32($text), "\n";
$key = sodium_crypto_secretbox_keygen();
$nonce = random_bytes(SODIUM_CRYPTO_SECRETBOX_NONCEBYTES);
$sealed = sodium_crypto_secretbox($text, $nonce, $key);
echo 'sodium ', sodium_crypto_secretbox_open($sealed, $nonce, $key) == $text ? 'same' : 'differs', "\n";
$pair = openssl_pkey_new(['curve_name' => 'prime256v1', 'private_key_type' => OPENSSL_KEYTYPE_EC]);
openssl_sign($text, $signature, $pair, OPENSSL_ALGO_SHA256);
$public = openssl_pkey_get_details($pair)['key'];
echo 'openssl ', openssl_verify($text, $signature, $public, OPENSSL_ALGO_SHA256), "\n";
echo 'fileinfo ', (new finfo(FILEINFO_MIME_TYPE))->buffer("\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "\n";
$archive = new PharData('archive.tar');
for ($n = 0; $n < 50; $n++) {
    $archive["file$n"] = str_repeat("$n ", $n * 10);
}
$sum = '';
foreach (new PharData('archive.tar') as $file) {
    $sum .= md5_file($file->getPathname());
}
echo 'phar ', md5($sum), "\n";
unlink('archive.tar');
