# SPDX-License-Identifier: Apache-2.0
"""`nepi bench link`: methods of sizing frames on recorded links, by event simulation."""
