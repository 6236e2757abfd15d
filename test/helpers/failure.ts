/** Work that must fail with an error of ours. */
import * as assert from "uvu/assert";
import { LatecomerError } from "../../src/errors.ts";

export async function failureOf(work: Promise<unknown>): Promise<LatecomerError> {
  try {
    await work;
  } catch (error) {
    assert.instance(error, LatecomerError);
    return error as LatecomerError;
  }
  throw new Error("expected a failure");
}
