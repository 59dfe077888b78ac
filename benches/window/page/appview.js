/** The author of all records. */
export const ALICE = "did:plc:alice";
/** Filler that makes a record of about 350 bytes. */
const SIZE = 100;

/** The development appview, through its control calls. */
export class Appview {
  #url;

  constructor(url) {
    this.#url = url;
  }

  async control(call, body) {
    const response = await fetch(`${this.#url}/control/${call}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${call}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** A new space with `n` records. */
  async space(key, n) {
    const { uri, query } = await this.control("openSpace", { key, owner: ALICE });
    await this.control("bulk", { spaceUri: uri, n, size: SIZE, silent: true });
    const url = `${this.#url}/xrpc/com.example.message.watchRecords?${query}&limit=${n}`;
    return { uri, url, n };
  }

  /** Changes `n` records; fulfilled, with when it began (Unix ms) and how long it took, once all are on their way. */
  flood(space, { n, update, rate }) {
    const among = update ? space.n : undefined;
    return this.control("flood", { spaceUri: space.uri, did: ALICE, n, size: SIZE, among, rate });
  }
}
