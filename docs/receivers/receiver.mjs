#!/usr/bin/env node
// A sample receiver of notifications: verifies the signature, handles each notification once.
//
//     node receiver.mjs PORT KEY_FILE     KEY_FILE: its first line is what `iotpushctl app signing-key` shows
//
// Listens on 127.0.0.1; put it behind whatever ends your TLS. It answers 200 when the notification has
// been handled, now or earlier, and 401 when it is not from our server.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import process from "node:process";

const TOLERANCE = 300; // seconds that the two clocks may differ
const REMEMBERED = 10_000; // ids: more than arrive within the sender's cache time
const MAX_BODY = 4 * 1024 * 1024;

if (process.argv.length !== 4) {
    console.error("usage: receiver.mjs PORT KEY_FILE");
    process.exit(2);
}
const key = Buffer.from(readFileSync(process.argv[3], "ascii").split("\n")[0].trim(), "base64");
if (key.length !== 32) {
    console.error("the key is not 32 bytes in Base64");
    process.exit(2);
}
const seen = new Set(); // keeps the order in which ids were added

function isEqual(a, b) {
    return a.length === b.length && timingSafeEqual(a, b);
}

function isSigned(headers, body) {
    const id = headers["x-notify-id"] ?? "";
    const timestamp = headers["x-notify-timestamp"] ?? "";
    if (!id || !/^[0-9]{1,12}$/.test(timestamp)) return false;
    if (Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) return false;
    const hmac = createHmac("sha256", key).update(`${id}.${timestamp}.`, "latin1").update(body);
    const wanted = Buffer.from(`v1=${hmac.digest("base64")}`);
    // Several while a key is being replaced: one of them must be ours.
    const given = (headers["x-notify-signature"] ?? "").split(",");
    return given.filter((one) => isEqual(Buffer.from(one.trim(), "latin1"), wanted)).length > 0;
}

// Your work: quick, or put into a queue that survives. An exception here makes the server try again.
function handle(id, body) {
    console.log("new", id);
}

function handleOnce(id, body) {
    if (seen.has(id)) {
        console.log("again", id);
        return;
    }
    handle(id, body);
    seen.add(id); // only now: what failed must come again
    if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
}

function answer(response, status, headers = {}) {
    response.writeHead(status, { "Content-Length": 0, ...headers });
    response.end();
}

function take(request, response, body) {
    if (!isSigned(request.headers, body)) {
        console.log("refused");
        answer(response, 401);
        return;
    }
    try {
        handleOnce(request.headers["x-notify-id"], body);
        answer(response, 200);
    } catch (error) {
        console.error(error);
        answer(response, 500);
    }
}

const server = createServer((request, response) => {
    const parts = [];
    let length = 0;
    request.on("data", (part) => {
        length += part.length;
        if (length <= MAX_BODY) parts.push(part);
        else if (!response.headersSent) answer(response, 413, { Connection: "close" });
    });
    request.on("end", () => {
        if (response.headersSent) return;
        if (request.method !== "POST") answer(response, 405, { Allow: "POST" });
        else take(request, response, Buffer.concat(parts));
    });
});
server.keepAliveTimeout = 120_000; // longer than the sender keeps an idle connection
server.listen(Number(process.argv[2]), "127.0.0.1", () => {
    console.log("listening on port", server.address().port);
});
