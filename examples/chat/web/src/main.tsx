// First, so that what the parts of the page say of themselves comes after it.
import './styles/tokens.css'
import './styles/base.css'
import './styles/controls.css'
import './styles/floats.css'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './App'
import { applyTheme } from './shell/theme'

applyTheme()
createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
)
