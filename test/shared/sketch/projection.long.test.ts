/** Inner products of the widths in use: a dense projection of 800 numbers takes its time. */
import { testInnerProducts } from "./inner-products.js";

for (const dim of [400, 800]) testInnerProducts(dim);
