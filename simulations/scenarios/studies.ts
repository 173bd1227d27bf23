/** The studies by name. */
import { computationSavedStudy } from "./estimates/computation-saved.js";
import { estimationErrorStudy } from "./estimates/estimation-error.js";
import { groupingsStudy } from "./estimates/groupings.js";
import { distortionStudy } from "./gradients/distortion.js";
import { taylorStudy } from "./gradients/taylor.js";
import { ADAPTER_KINDS } from "./gradients/taylor-errors.js";
import type { Study } from "./harness/study.js";
import { PAPER_TASKS, realData, rolePopulation, spaceInPrompt, TEXT_SETS, textSetPopulation } from "./real.js";

/** A model that a study of a few minutes can tune hundreds of times. */
const smallModel = (): string => realData("models", "stories3M");

/** That model's tokenizer makes a space before an answer a token of its own, so that all choices would begin alike. */
const wordFor = (own: boolean) => (word: string) => (own ? ` ${word}` : word);
const populationFor = (own: boolean, population: string) => (own ? population : spaceInPrompt(population));

/** Two of the twelve have few rows, or long ones. */
const TEN_SETS = TEXT_SETS.filter((set) => set !== "cb" && set !== "rte");

export const STUDIES: Readonly<Record<string, Study>> = {
  "estimation-error": estimationErrorStudy({
    about: "estimated against real losses of random subsets of ten sets",
    title: "Estimation error",
    population: (seed, own) =>
      textSetPopulation({
        sets: TEN_SETS,
        train: 64,
        validation: 60,
        test: 80,
        seed,
        plain: wordFor(own),
      }),
    model: smallModel,
    options: { maxTokens: 32 },
    tuning: { epochs: 4, batch: 8, learningRate: 0.003 },
    subsets: 50,
    size: 3,
    widths: [200, 400, 800, 1600],
    width: 400,
    repeated: 50,
  }),
  "computation-saved": computationSavedStudy({
    about: "operations of estimating subsets beside those of really tuning them",
    title: "Computation saved",
    model: smallModel,
    epochs: 10,
    batch: 8,
    checked: 2,
    cases: [
      {
        name: "Ten sets, all their rows, a hundred of a split sketched",
        population: (seed, own) =>
          textSetPopulation({
            sets: TEN_SETS,
            train: 1000,
            validation: 200,
            test: 1,
            seed,
            plain: wordFor(own),
          }),
        options: { maxTokens: 48, estimation: { examplesPerClient: 100 } },
        forms: ["answer", "two-term", "negatives"],
        subsets: 50,
        size: 3,
      },
      {
        name: "A hundred speaking roles",
        population: () => rolePopulation(100),
        options: { maxTokens: 96 },
        forms: ["answer"],
        subsets: 1000,
        size: 10,
      },
    ],
  }),
  "groups-text-sets": groupingsStudy({
    about: "twelve text classification sets in groups by several ways, each really tuned",
    title: "Groups of twelve text classification sets",
    population: (seed) => textSetPopulation({ sets: TEXT_SETS, train: 160, validation: 40, test: 120, seed }),
    model: smallModel,
    options: { maxTokens: 96 },
    tuning: { epochs: 3, batch: 8, learningRate: 0.003 },
    // Hours for a model of 135 million parameters: no more than it takes to say whether groups beat both ends.
    own: {
      options: {
        maxTokens: 96,
        adapter: {
          kind: "lora",
          rank: 8,
          alpha: 16,
          modules: ["q_proj", "k_proj", "v_proj", "o_proj"],
          freezeA: false,
        },
      },
      tuning: { epochs: 3, batch: 8, learningRate: 0.0005 },
      others: [],
    },
  }),
  "groups-tasks": groupingsStudy({
    about: "the ten tasks of Li et al. 2025 in groups by several ways, each really tuned",
    title: "Groups of ten tasks",
    population: (seed) => textSetPopulation({ sets: PAPER_TASKS, train: 160, validation: 40, test: 100, seed }),
    model: smallModel,
    options: { maxTokens: 192 },
    tuning: { epochs: 3, batch: 8, learningRate: 0.003 },
  }),
  "groups-roles": groupingsStudy({
    about: "a hundred speaking roles in groups by several ways, each really tuned",
    title: "Groups of a hundred speaking roles",
    population: () => rolePopulation(100),
    model: smallModel,
    options: {},
    tuning: { epochs: 3, batch: 8, learningRate: 0.003 },
  }),
  taylor: taylorStudy({
    about: "the error of the first-order approximation along real tunings of text sets, for each kind of adapter",
    title: "Error of the first-order approximation",
    kinds: ADAPTER_KINDS,
    population: async (seed, own) => {
      const [sets, train, validation] = own ? [["emotion", "sst2"], 24, 12] : [["emotion", "sst2", "trec"], 64, 24];
      return populationFor(own, await textSetPopulation({ sets, train, validation, test: 1, seed }));
    },
    model: smallModel,
    options: { maxTokens: 64 },
    // At 0.003 the three sets' own adapters end at a mean validation loss of 2.7 instead of 2.5, three times as far from the start.
    tuning: { epochs: 3, batch: 8, learningRate: 0.0005 },
  }),
  "sketch-distortion": distortionStudy({
    about: "how sketches distort norms and inner products of real gradients, beside a dense projection",
    title: "Distortion of sketched gradients",
    population: async (seed, own) => {
      const sets = ["emotion", "sst2", "trec", "ag_news"];
      return populationFor(own, await textSetPopulation({ sets, train: own ? 4 : 12, validation: 1, test: 1, seed }));
    },
    model: smallModel,
    options: { maxTokens: 64 },
  }),
};
