/**
 * The capability catalogue: what the numbered capabilities of a node mean.
 *
 * Ids 0 to 26 are transcoding features. 27 to 36 are built-in AI pipelines, whose model constraints tell what
 * a node without hardware details runs. 37 (`byoc`) is an external container, named elsewhere.
 */

/** The version written beside every row that quotes the catalogue. */
export const CATALOGUE_VERSION = "v1";

/** Stands for "no capability id known" where a column needs a number (upstream's own `Unused`). */
export const NO_CAPABILITY = -1;

export interface Capability {
  readonly id: number;
  readonly name: string;
  readonly group: string;
  /** The pipeline that a built-in AI capability runs, blank for all others. */
  readonly pipeline: string;
}

const ROWS: readonly (readonly [id: number, name: string, group: string, pipeline?: string])[] = [
  [-2, "Invalid", "unknown"],
  [-1, "Unused", "unknown"],
  [0, "H.264", "transcoding"],
  [1, "MPEGTS", "transcoding"],
  [2, "MP4", "transcoding"],
  [3, "Fractional framerates", "transcoding"],
  [4, "Storage direct", "storage"],
  [5, "Storage S3", "storage"],
  [6, "Storage GCS", "storage"],
  [7, "H264 Baseline profile", "transcoding"],
  [8, "H264 Main profile", "transcoding"],
  [9, "H264 High profile", "transcoding"],
  [10, "H264 Constrained, Contained High profile", "transcoding"],
  [11, "GOP", "transcoding"],
  [12, "Auth token", "auth"],
  [13, "Scene classification", "deprecated"],
  [14, "MPEG7 signature", "transcoding"],
  [15, "HEVC decode", "transcoding"],
  [16, "HEVC encode", "transcoding"],
  [17, "VP8 decode", "transcoding"],
  [18, "VP9 decode", "transcoding"],
  [19, "VP8 encode", "transcoding"],
  [20, "VP9 encode", "transcoding"],
  [21, "H264 decode YUV444 8-bit", "transcoding"],
  [22, "H264 decode YUV422 8-bit", "transcoding"],
  [23, "H264 decode YUV444 10-bit", "transcoding"],
  [24, "H264 decode YUV422 10-bit", "transcoding"],
  [25, "H264 decode YUV420 10-bit", "transcoding"],
  [26, "Segment slicing", "transcoding"],
  [27, "Text to image", "inference", "text-to-image"],
  [28, "Image to image", "inference", "image-to-image"],
  [29, "Image to video", "inference", "image-to-video"],
  [30, "Upscale", "inference", "upscale"],
  [31, "Audio to text", "inference", "audio-to-text"],
  [32, "Segment anything 2", "inference", "segment-anything-2"],
  [33, "Llm", "inference", "llm"],
  [34, "Image to text", "inference", "image-to-text"],
  [35, "Live video to video", "live-video", "live-video-to-video"],
  [36, "Text to speech", "inference", "text-to-speech"],
  [37, "byoc", "byoc"],
];

/** Every capability there is, by id. */
export const CATALOGUE: readonly Capability[] = ROWS.map(([id, name, group, pipeline = ""]) => ({
  id,
  name,
  group,
  pipeline,
}));

const BY_ID: ReadonlyMap<number, Capability> = new Map(CATALOGUE.map((one) => [one.id, one]));

/** The capability of this id; an id on no list keeps its number under the name `unknown`. */
export function capabilityOf(id: number): Capability {
  return BY_ID.get(id) ?? { id, name: "unknown", group: "unknown", pipeline: "" };
}
