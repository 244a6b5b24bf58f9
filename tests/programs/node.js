// V8 maps its own heap: malloc gets the buffers, the compiler's zones and the thread pool's work.
'use strict';

const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const zlib = require('zlib');
const { execFileSync } = require('child_process');
const { promisify } = require('util');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

const digest = (data) => crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);

function randomFrom(seed) {
    let state = BigInt(seed);
    return (n) => {
        state = (state * 1103515245n + 12345n) % 2147483648n;
        return Number(state >> 16n) % n;
    };
}

function churn(seed, steps) {
    const random = randomFrom(seed);
    const live = new Map();
    for (let i = 0; i < steps; i++) {
        const key = random(500);
        if (live.delete(key)) continue;
        const size = random(3) ? random(3000) : random(32768) * 8;
        live.set(key, i % 2 ? Buffer.alloc(size, key) : new Uint8Array(size));
    }
    let sum = 0;
    for (const [key, value] of live) sum += (key + 1) * value.length;
    return sum;
}

async function main() {
    const random = randomFrom(7);
    const data = Array.from({ length: 20000 }, (_, i) => ({
        id: i,
        name: 'n'.repeat(random(50)) + random(30000),
        list: Array.from({ length: random(8) }, (_, j) => j * i),
    }));
    const text = JSON.stringify(data);
    assert.deepStrictEqual(JSON.parse(text), data);
    console.log('json', text.length, digest(text));
    console.log('regexp', digest(text.replace(/n(\d)(\d)/g, (_, a, b) => a * b)));
    console.log('churn', [1, 2, 3].map((seed) => churn(seed, 20000)));

    const packed = await Promise.all(
        Array.from({ length: 12 }, (_, n) =>
            promisify(n % 2 ? zlib.gzip : zlib.brotliCompress)(text.slice(n * 10000, n * 10000 + 300000),
                n % 2 ? {} : { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } })));
    const unpacked = await Promise.all(
        packed.map((part, n) => promisify(n % 2 ? zlib.gunzip : zlib.brotliDecompress)(part)));
    console.log('zlib', digest(Buffer.concat(unpacked)));
    const keys = await Promise.all(
        Array.from({ length: 16 }, (_, n) =>
            promisify(crypto.pbkdf2)('secret', 'salt' + n, 2000, 64, 'sha512')));
    console.log('crypto', digest(Buffer.concat(keys)));

    const results = await Promise.all(
        Array.from({ length: 4 }, (_, n) => new Promise((resolve, reject) => {
            const worker = new Worker(__filename, { workerData: n });
            worker.on('message', resolve).on('error', reject);
        })));
    console.log('workers', results);

    const server = http.createServer((request, response) => {
        const parts = [];
        request.on('data', (part) => parts.push(part));
        request.on('end', () => response.end(zlib.gzipSync(Buffer.concat(parts))));
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const ask = (n) => new Promise((resolve, reject) => {
        const request = http.request({ port: server.address().port, host: '127.0.0.1', method: 'POST' },
            (response) => {
                const parts = [];
                response.on('data', (part) => parts.push(part));
                response.on('end', () => resolve(zlib.gunzipSync(Buffer.concat(parts)).length));
            });
        request.on('error', reject);
        request.end(text.slice(0, n * 5000));
    });
    console.log('http', await Promise.all(Array.from({ length: 60 }, (_, n) => ask(n))));
    server.close();

    for (let i = 0; i < 50; i++) {
        await fs.promises.writeFile(`file${i}`, text.slice(i, i * 9999));
    }
    const files = await Promise.all(
        Array.from({ length: 50 }, (_, i) => fs.promises.readFile(`file${i}`)));
    console.log('files', digest(Buffer.concat(files)));
    console.log('child', execFileSync(process.execPath, ['-p', '"x".repeat(1e6).length'], { encoding: 'utf8' }));
}

if (isMainThread) {
    main();
} else {
    parentPort.postMessage(churn(workerData, 20000));
}
