/** Opens everything that a client needs of a model: weights, tokenizer, chat template. A model on the hub is fetched first. */
import type { JobContext } from "../../shared/base/command.js";
import { ggufTokenizer } from "../../shared/models/gguf-tokenizer.js";
import { resolveModel } from "../../shared/models/hub.js";
import { readTokenizerConfig, type SpecialTokens, specialTokensOf } from "../../shared/models/special-tokens.js";
import { type BaseModel, type BaseOptions, openBaseModel } from "./base.js";
import { type ChatTemplate, chatTemplateFrom, loadChatTemplate } from "./chat.js";
import { templatesIn } from "./chat-files.js";
import { endOfTextToken } from "./ends.js";
import { checkTokenizerFits, loadTokenizer, type ModelTokenizer, tokenizerOf } from "./tokenizer.js";

export interface OpenedModel {
  readonly base: BaseModel;
  readonly tokenizer: ModelTokenizer;
  readonly renderChat: ChatTemplate | undefined;
  /** The token that ends a text; undefined where the model's files name none. */
  readonly endOfText: number | undefined;
}

/**
 * Fetches a model from the hub, unless it is a local path or in the cache.
 * @param model a folder, a GGUF file, or an id such as `HuggingFaceTB/SmolLM2-135M`
 * @returns the folder or file
 */
export async function fetchModel(
  model: string,
  { progress, signal }: Pick<JobContext, "progress" | "signal">,
): Promise<string> {
  const stages = new Map<string, { stage: ReturnType<typeof progress.stage>; done: number }>();
  const folder = await resolveModel(model, {
    signal,
    progress: ({ file, doneBytes, totalBytes }) => {
      let entry = stages.get(file);
      if (entry === undefined) {
        entry = { stage: progress.stage(`fetch ${file}`, totalBytes), done: 0 };
        stages.set(file, entry);
      }
      entry.stage.tick(doneBytes - entry.done);
      entry.done = doneBytes;
    },
  });
  for (const { stage } of stages.values()) stage.done();
  return folder;
}

/** Fetches and opens a model; tensors that it does not use are named in the log. @param model as for `fetchModel`. @throws {KindredError} `invalid_model`, `unsupported`, and as the hub */
export async function openModel(
  model: string,
  { quantization = "none", ...context }: JobContext & BaseOptions,
): Promise<OpenedModel> {
  const base = await openBaseModel(await fetchModel(model, context), { quantization });
  if (base.unused.length > 0) {
    context.log.warn(
      `${base.folder.path}: holds tensors that ${base.folder.configPath} gives no place; they are left out`,
      {
        tensors: base.unused.length,
        first: base.unused[0]!.slice(0, 200),
      },
    );
  }
  const { tokenizer, renderChat, specialTokens } = await tokenizerAndTemplate(base);
  checkTokenizerFits(tokenizer, base.folder);
  return { base, tokenizer, renderChat, endOfText: await endOfTextToken(base, tokenizer, specialTokens) };
}

interface Parts extends Pick<OpenedModel, "tokenizer" | "renderChat"> {
  readonly specialTokens: SpecialTokens;
}

/** Tokenizer, chat template and special tokens, from the folder's files or from a GGUF's metadata. */
async function tokenizerAndTemplate({ folder }: BaseModel): Promise<Parts> {
  if (folder.gguf === undefined) {
    const config = await readTokenizerConfig(folder.path);
    const [tokenizer, renderChat] = [
      await loadTokenizer(folder.path, config),
      await loadChatTemplate(folder.path, config),
    ];
    return { tokenizer, renderChat, specialTokens: config.specialTokens };
  }
  const { json, config } = ggufTokenizer(folder.gguf.file);
  const specialTokens = specialTokensOf(config, folder.path);
  return {
    specialTokens,
    tokenizer: await tokenizerOf(json, folder.path),
    renderChat: chatTemplateFrom(templatesIn(config.chat_template, folder.path), specialTokens),
  };
}
