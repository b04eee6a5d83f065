/** The part of a widget's model that carries messages, without a kernel: what is sent is kept. */
export class FakeChannel {
  sent = [];
  listeners = new Set();

  on(_event, callback) {
    this.listeners.add(callback);
  }

  off(_event, callback) {
    this.listeners.delete(callback);
  }

  send(message) {
    this.sent.push(message);
  }

  /** As if the kernel had sent it. */
  receive(message, ...bytes) {
    const buffers = bytes.map((some) => new DataView(Uint8Array.from(some).buffer));
    for (const callback of this.listeners) callback(message, buffers);
  }
}
