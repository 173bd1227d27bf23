/**
 * The vocabulary of the demo: maintenance tickets of an office building. A ticket names one thing, and a house's rule about desks
 * depends only on the thing's topic (plumbing, lighting, ...); the rest of the sentence is random variety. This file holds the words
 * and builds the sentences. It knows nothing of rules, clients or models.
 */
import type { SeededRng } from "../../shared/base/random.js";

/** Topics and their things: 16 per topic, no word in two topics. */
export const TOPICS: Readonly<Record<string, readonly string[]>> = {
  furniture: split(
    "chair counter table shelf sofa bench stool cabinet drawer armchair wardrobe bookcase sideboard couch ottoman lectern",
  ),
  plumbing: split(
    "sink tap toilet pipe drain shower bathtub basin faucet cistern hose boiler sewer gutter washbasin urinal",
  ),
  lighting: split(
    "lamp bulb chandelier lantern spotlight candle torch dimmer floodlight neon lampshade headlight skylight flashlight projector beacon",
  ),
  computers: split(
    "laptop keyboard monitor server tablet modem router mouse screen charger webcam microphone harddisk workstation touchpad mainframe",
  ),
  printing: split(
    "printer scanner copier toner cartridge plotter stapler laminator shredder binder envelope label stamp folder notepad inkpad",
  ),
  vehicles: split(
    "van truck bus car bicycle scooter trailer forklift motorcycle ambulance tractor minibus taxi wagon tram limousine",
  ),
  kitchen: split(
    "kettle oven fridge toaster microwave dishwasher freezer stove blender grill pan pot ladle tray mug plate",
  ),
  garden: split(
    "lawn hedge tree flower bush fountain mower rake fern rose ivy compost greenhouse flowerbed shrub pond",
  ),
  doors: split(
    "lock key door gate hinge handle latch turnstile doorbell padlock shutter deadbolt keypad intercom doormat peephole",
  ),
  heating: split(
    "radiator heater thermostat fireplace furnace chimney fan vent duct humidifier airconditioner cooler ventilator burner filter damper",
  ),
  cleaning: split(
    "mop broom bucket sponge vacuum duster soap bleach towel bin detergent brush rag polish dustpan napkin",
  ),
  clothing: split("uniform jacket glove boot helmet apron coat scarf shirt blouse vest belt hat sock overall badge"),
  food: split("bread milk coffee tea apple cheese salad soup sandwich butter yoghurt banana cake rice sugar juice"),
  medicine: split(
    "bandage syringe pill thermometer stretcher plaster inhaler ointment vaccine wheelchair crutch gauze stethoscope tourniquet splint syrup",
  ),
  tools: split(
    "hammer drill saw screwdriver wrench ladder chisel mallet nail screw toolbox crowbar spanner clamp anvil axe",
  ),
  papers: split(
    "contract invoice passport receipt letter certificate permit licence report form ledger voucher archive memo diploma charter",
  ),
};

export const TOPIC_NAMES: readonly string[] = Object.keys(TOPICS);

/** All desks of the building. */
export const DESKS: readonly string[] = ["north", "south", "east", "west"];

const LOOKS = split("red blue green grey white black old new small large heavy cheap");
export const PLACES: readonly string[] = split(
  "lobby cellar attic corridor canteen garage office library yard hall workshop studio",
);
const TROUBLES = [
  "is broken",
  "is missing",
  "is damaged",
  "is dirty",
  "is too old",
  "does not work",
  "must be replaced",
  "needs attention",
  "was stolen",
  "arrived late",
  "has a fault",
  "should be moved",
];
const PEOPLE = split("anna boris clara david emma felix greta hugo irene jonas");
const DAYS = split("monday tuesday wednesday thursday friday");

/** One ticket: its text up to the full stop, and the thing named in it. */
export interface Ticket {
  readonly topic: string;
  readonly thing: string;
  readonly look: string;
  readonly place: string;
  readonly text: string;
}

/** Draws a ticket on a topic. */
export function drawTicket(rng: SeededRng, topic: string): Ticket {
  const thing = rng.pick(TOPICS[topic] ?? []);
  const look = rng.pick(LOOKS);
  const place = rng.pick(PLACES);
  const trouble = rng.pick(TROUBLES);
  const texts = [
    `the ${look} ${thing} in the ${place} ${trouble}.`,
    `${rng.pick(PEOPLE)} says that the ${look} ${thing} in the ${place} ${trouble}.`,
    `the ${thing} near the ${place} ${trouble} since ${rng.pick(DAYS)}, it is the ${look} one.`,
    `in the ${place}, a ${look} ${thing} ${trouble}.`,
    `please help ${rng.pick(PEOPLE)}: the ${look} ${thing} of the ${place} ${trouble}.`,
  ];
  return { topic, thing, look, place, text: rng.pick(texts) };
}

/** The prompt that asks for a ticket's desk; the completion is a space and the desk's name. */
export function deskPrompt(ticket: Ticket): string {
  return `Ticket: ${ticket.text} Desk:`;
}

function split(words: string): readonly string[] {
  return words.split(" ");
}
